package privatefile

import (
	"errors"
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
// open for writing or mapped writable at the moment, EACCES if it belongs to somebody else.
func takeLease(src Source) (lease, error) {
	none := lease{fd: -1}
	magic, err := src.fsType()
	if err != nil {
		return none, err
	}
	switch magic {
	case syscalls.Ext4, syscalls.XFS, syscalls.Btrfs, syscalls.Tmpfs:
	default:
		// Overlayfs grants one beside a writable mapping, whose stores then show. FUSE and
		// network filesystems do not know what is written elsewhere.
		return none, errNoLeases
	}
	if !src.Exclusive {
		return none, errCannotReopen
	}
	if err := sys.SetLease(src.FD, syscalls.ReadLease); err != nil {
		return none, err
	}
	return lease{fd: src.FD}, nil
}

var (
	errCannotReopen = errors.New("the descriptor cannot be opened anew to take a lease on it")
	errNoLeases     = errors.New("leases prove nothing on this filesystem")
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
