package snapshot

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
)

// EFAULT of read(2) and write(2) concerns the memory of the caller. If that is a slice of another
// snapshot, inside a View of it, that View knows the file and the errno. So each page is touched:
// the fault ends the function of the View, as if the function itself used the slice. Elsewhere a
// fault ends the program, and nothing is touched.

// sourceFault returns the error of a write that has not written the bytes of p. If it is EFAULT and
// p lies in a View, it panics as the first page that cannot be read does.
func sourceFault(p []byte, err error) error {
	return callerFault("the bytes to write are in memory that cannot be read", p, err, load)
}

// destinationFault returns the error of a read that has not filled p. If it is EFAULT and p lies in
// a View, it panics as the first page that cannot be written does.
func destinationFault(p []byte, err error) error {
	return callerFault("the bytes go to memory that cannot be written", p, err, store)
}

func callerFault(what string, p []byte, err error, touch func(b *byte) byte) error {
	if !errors.Is(err, syscall.EFAULT) {
		return err
	}
	// Its return value is the only way to ask for the setting.
	catches := debug.SetPanicOnFault(true)
	debug.SetPanicOnFault(catches)
	if catches && len(p) > 0 {
		for i := 0; i < len(p); i += os.Getpagesize() {
			touch(&p[i])
		}
		touch(&p[len(p)-1])
	}
	return fmt.Errorf("%s: %w", what, err)
}

// load reads a byte. The compiler does not leave it out, because it returns it.
//
//go:noinline
func load(b *byte) byte { return *b }

// store overwrites a byte of the destination of a read, which may hold anything after an error.
//
//go:noinline
func store(b *byte) byte {
	*b = 0
	return 0
}
