// Package systest replaces calls of the kernel for tests of the packages below snapshot: it fails
// the k-th call, counts calls, ends pauses at once, and lets a filesystem seem to have less than it
// has. Every replacement lasts until the test ends.
//
// A program that imports this package has an extra function in front of each call for good, so only
// tests import it.
//
// Files, each of which uses only those named after it: intercept.go,
// pretend.go, faults.go.
package systest
