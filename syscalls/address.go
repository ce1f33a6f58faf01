package syscalls

import "unsafe"

// address is where b begins. The number is compared with other numbers and never made a pointer
// again.
func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
