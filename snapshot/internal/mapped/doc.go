// Package mapped holds memory that cannot crash the program. A fault in it is an error of the
// method that met it; pages are touched only if they are known to be in memory; and addresses are
// given back only when no reader can use them any more.
//
// Files, each of which uses only those named after it: hooks.go, io.go, region.go,
// writeback.go, sweeper.go, insist.go, mapping.go, quarantine.go, space.go, pageset.go. The first
// has only functions for tests.
package mapped
