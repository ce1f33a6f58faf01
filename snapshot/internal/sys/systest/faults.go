package systest

import "runtime/debug"

// Faults reports whether f faults. SetPanicOnFault makes a fault a panic instead of the end of
// the program.
func Faults(f func()) (faulted bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if e, ok := recover().(interface{ Addr() uintptr }); ok {
			faulted = e.Addr() != 0
		}
	}()
	f()
	return false
}
