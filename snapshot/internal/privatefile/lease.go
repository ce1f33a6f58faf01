package privatefile

import (
	"errors"
	"fmt"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// leaseGrace is how long somebody who wants to open the file for writing is made to wait by a
// copy that goes on for longer than that. The kernel would let him wait for
// /proc/sys/fs/lease-break-time, 45 s.
const leaseGrace = time.Second

// A lease keeps everybody else from opening a file for writing: a read lease,
// fcntl_locking(2). Everything is as if the copy had been made in an instant, if that instant
// lies between an open and a close of each of its writers.
type lease struct {
	fd        int       // -1: none, or none any more
	contended time.Time // when a process was first seen to wait for it
}

// takeLease takes a lease on src, or says why there is none. The error is EAGAIN if the file is
// open for writing or mapped writable at the moment, EACCES if it belongs to another user.
func takeLease(src Source) (lease, error) {
	none := lease{fd: -1}
	magic, err := src.FSType()
	if err != nil { // a sandbox refuses fstatfs(2): it can be any filesystem
		return none, errNoLeases
	}
	switch magic {
	case syscalls.Ext4, syscalls.XFS, syscalls.Btrfs:
	case syscalls.Tmpfs:
		// A memfd, which the kernel makes without an open(2), is not counted as open for writing
		// (alloc_file_pseudo in fs/file_table.c). It never has a name.
		if src.Stat.Nlink == 0 {
			return none, errNoLeases
		}
	case syscalls.Overlay:
		return none, errOverlay
	case syscalls.Squashfs, syscalls.Erofs, syscalls.ISO9660, syscalls.Cramfs:
		return none, errNeverWritten
	default:
		// FUSE and network filesystems do not know what is written elsewhere.
		return none, errNoLeases
	}
	return grantedLease(src)
}

// grantedLease is takeLease wherever the kernel grants one.
func grantedLease(src Source) (lease, error) {
	if !src.Exclusive {
		return lease{fd: -1}, errDescriptor
	}
	if err := sys.SetLease(src.FD, syscalls.ReadLease); err != nil {
		return lease{fd: -1}, err
	}
	return lease{fd: src.FD}, nil
}

var (
	errDescriptor = errors.New("no lease is taken on a descriptor that is open for reading")
	errNoLeases   = errors.New("leases prove nothing on this filesystem")

	// errOverlay: old kernels grant a lease beside a writable mapping, whose stores then show. They
	// grant none while a process has the file open for writing.
	errOverlay = fmt.Errorf("%w", errNoLeases)

	// errNeverWritten: the file does not change.
	errNeverWritten = fmt.Errorf("%w", errNoLeases)
)

// release gives the lease up and reports whether it was there to the end. One that somebody
// waits for is: he does not get in before it is given up or its time runs out, and then there
// is nothing to give up.
func (l *lease) release() bool {
	if l.fd < 0 {
		return false
	}
	err := sys.SetLease(l.fd, syscalls.NoLease)
	l.fd = -1
	return err == nil
}

// releaseIfContended gives the lease up if a process has waited for it for long enough.
func (l *lease) releaseIfContended() {
	if l.fd < 0 {
		return
	}
	if kind, err := sys.GetLease(l.fd); kind == syscalls.ReadLease && err == nil {
		return
	}
	if l.contended.IsZero() {
		l.contended = time.Now()
	}
	if time.Since(l.contended) > leaseGrace {
		l.release()
	}
}
