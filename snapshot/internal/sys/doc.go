// Package sys has the kernel as the layers of package snapshot use it: one variable for each
// function of package syscalls, so that a test can make any call fail. Only tests assign them: see
// package systest.
package sys
