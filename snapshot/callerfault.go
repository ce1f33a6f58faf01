package snapshot

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
)

// EFAULT of read(2) and write(2) concerns the memory of the caller. If that is a slice of another
// snapshot, inside a View of it, that View knows the file and the errno. So the page is touched:
// the fault ends the function of the View, as it would if the function itself used the slice, or if
// the copy was made without a system call. Elsewhere a fault ends the program, and nothing is
// touched.

// sourceFault returns the error of a write that has not written the bytes of p, of which the first
// page may fault. In a View of p it panics.
func sourceFault(p []byte, err error) error {
	return callerFault("the bytes to write are in memory that cannot be read", err, func() {
		for i := 0; i < len(p); i += os.Getpagesize() {
			load(p[i:])
		}
		load(p[max(len(p), 1)-1:])
	})
}

// destinationFault returns the error of a read that has not filled p, of which the first page may
// fault. In a View of p it panics. A read that fails leaves anything in p.
func destinationFault(p []byte, err error) error {
	return callerFault("the bytes go to memory that cannot be written", err, func() { clear(p) })
}

func callerFault(what string, err error, touch func()) error {
	if !errors.Is(err, syscall.EFAULT) {
		return err
	}
	// Its return value is the only way to ask for the setting.
	catches := debug.SetPanicOnFault(true)
	debug.SetPanicOnFault(catches)
	if catches {
		touch()
	}
	return fmt.Errorf("%s: %w", what, err)
}

// load reads a byte, which the compiler must not leave out.
//
//go:noinline
func load(p []byte) byte {
	if len(p) == 0 {
		return 0
	}
	return p[0]
}
