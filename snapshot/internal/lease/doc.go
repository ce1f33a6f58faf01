// Package lease reads a file itself, in place of a private copy, for as long as a read lease keeps
// every other process from opening it for writing. When a process wants to, the kernel makes it
// wait and sends a signal; the package then makes the private copy and gives the lease up.
//
// # What a read proves
//
// The kernel removes a lease that is not given up when fs.lease-break-time is over, and lets the
// writer in. A process that is stopped meanwhile would go on reading and never know. So a read
// counts only if, after the bytes were copied out of the mapping,
//
//  1. the clock is read, then
//  2. the snapshot is found neither closed nor left (state.left), and then
//  3. either the time of 1 is less than maxAge after a whole look (state.look), or a new look finds
//     the lease whole.
//
// Leaving stores left before it gives the lease up, and Close stores closed before. So a read that
// finds neither in 2 has copied its bytes before the release, as long as the loads of the copy cannot
// pass the load of left. If the lease ended otherwise, its time ran out: the kernel begins that time
// after the last whole look, and it is a second at least, in which the read must have ended by 3.
//
// # Memory order
//
// The copy makes plain loads, which may pass a later atomic load on a weakly ordered processor: on
// arm64 a load-acquire (LDAR) orders what follows it, not what precedes it. Between the two, the
// reader makes an atomic store to a variable of its own. Go's atomics are sequentially consistent: a
// store is a release, which no earlier load passes, and no later atomic load passes the store. On
// arm64 these are STLR and LDAR, which the architecture keeps in order (RCsc); on amd64 the store is
// XCHG, a full barrier, though loads are in order there anyway. The other side needs no more: after
// left is stored, the release is a system call, and the writer begins after the kernel has removed
// the lease under a lock.
//
// The clock of step 1 is CLOCK_MONOTONIC. On amd64 the vDSO orders RDTSC after earlier loads
// (LFENCE, RDTSCP). On arm64 the ISB before CNTVCT does not order earlier loads, so the time can be
// from before the last of them; by as much as a load takes to complete, microseconds, unless the
// thread is interrupted, which orders both. Against that there is the margin: maxAge is half of
// the least time that the kernel gives.
//
// # Clocks
//
// The kernel counts a lease's time in jiffies, which follow CLOCK_MONOTONIC; both stand still while
// the system is suspended. If the processor that counts jiffies stands still alone, for more than
// half a second, and no other takes over, the time can begin that much too early. It takes a
// fs.lease-break-time of one second for that to matter.
//
// Files, each of which uses only those named after it: open.go, snapshot.go, watcher.go, state.go,
// breaktime.go.
package lease
