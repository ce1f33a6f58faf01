// Package external tests the library with what needs other modules than it may require itself:
// real filesystems on disks that are slow or fail, and FUSE filesystems that lack what others have, are
// slow, fail, or die. It has no code but tests; the equipment is in package fusetest.
package external
