// Package external tests the library with what needs other modules than it may require itself:
// real filesystems on disks that are slow or fail. It has no code but tests; the equipment is in
// package fusetest.
package external
