// Package syscalls is a thin layer, without cgo, over the Linux system calls that copy-on-write
// snapshots and atomic replacement of files are made of: reflinks, unnamed files, linking,
// holes, writeback and shared memory mappings.
//
// There is one function per kernel operation. A function does what its name says and nothing
// else: it keeps no state, and falls back to another way only where its documentation says so. Two
// things only are done for the caller: a call interrupted by a signal (EINTR) is made again, and a
// failure is returned as an [*os.SyscallError] that names the call and holds the errno.
//
// [AwaitLease] is the exception: it calls one of the functions again while another process has a
// lease on a file, because library, adapters and programs all need that.
//
// Descriptors are ints and stay the caller's: nothing here closes a descriptor that it was
// given, apart from [Close]. Where two descriptors are taken, the destination comes first, as
// in copy.
//
// # Errors
//
// errors.Is(err, [errors.ErrUnsupported]) is true when this kernel or this filesystem cannot do
// the operation on these files and nothing was changed: the caller may go another way. The
// errno stays reachable:
//
//	err := syscalls.Ficlone(dst, src)
//	errors.Is(err, errors.ErrUnsupported) // true across two filesystems
//	errors.Is(err, syscall.EXDEV)         // also true
//
// Off Linux every function that needs the kernel returns such an error.
//
// # Memory
//
// [Mmap] and its companions return slices of memory that the garbage collector does not know.
// They stay valid until [Munmap], [MapNone] or a call to one of the [Mremap] family says
// otherwise; touching one later is a fault, or worse, a read of whatever is mapped there next.
package syscalls
