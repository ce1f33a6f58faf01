package lease

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// Why a file is opened in another way.
var (
	errKind     = errors.New("a small, empty or unnamed file, or a descriptor of the caller")
	errTooLarge = errors.New("the file could not be copied while a writer waits")
	errFS       = errors.New("a lease on this filesystem does not exclude all writers")
)

// Open returns a snapshot of src under a lease, or, if src cannot have one, an error that is of no
// interest: the caller opens the file in another way. If the context has ended, the error is that of
// the context. If took is true, also beside an error, the descriptor of src is not the caller's any
// more; beside a snapshot, its directory is not, either.
//
// It is for filesystems on which no clone can be made.
func Open(
	ctx context.Context, src privatefile.Source, options privatefile.Options,
) (s *Snapshot, took bool, err error) {
	if err := check(src, options); err != nil {
		return nil, false, err
	}
	if st := watch.join(keyOf(src.Stat, options)); st != nil {
		if found, whole := st.describe(); whole { // nothing was written since the state was made
			return newSnapshot(st, found), false, nil
		}
		_ = watch.drop(st, false)
	}
	thread, err := watch.begin()
	if err != nil {
		return nil, false, err
	}
	st, took, err := open(ctx, src, options, thread)
	if err != nil {
		watch.abandon()
		return nil, took, err
	}
	s = newSnapshot(st, st.stat)
	watch.add(st)
	if !st.look() { // a signal may have come before the watcher knew the state
		go func() { _ = st.leave() }()
	}
	return s, true, nil
}

// check returns an error if src is no file for a lease.
func check(src privatefile.Source, options privatefile.Options) error {
	switch {
	case !src.Exclusive, isOther(src.Stat, options):
		return errKind
	case int64(src.Stat.UID) != int64(os.Geteuid()):
		// With CAP_LEASE there would be a lease, but the owner can truncate the file through an
		// overlay of its own without breaking it, and set the times back.
		return errNotOwned
	}
	magic, err := src.FSType()
	if err == nil && magic != syscalls.Ext4 && magic != syscalls.XFS {
		err = errFS
	}
	return err
}

// isOther reports whether a file is empty, or better read at once, or has no name: the kernel does not
// count a memfd as open for writing.
func isOther(st syscalls.Stat, options privatefile.Options) bool {
	return st.Size == 0 || st.Size <= privatefile.SmallSize && !options.NoCopy || st.Nlink == 0
}

// open takes the lease, and the descriptor.
func open(
	ctx context.Context, src privatefile.Source, options privatefile.Options, thread int,
) (st *state, took bool, err error) {
	if err := new(mapped.Region).Reserve(src.Stat.Size); err != nil {
		return nil, false, err
	}
	if err := sys.ReadLeaseSignal(src.FD, thread, signal); err != nil {
		return nil, false, err
	}
	took, err = clean(ctx, src.FD)
	now := src.Stat
	if err == nil {
		now, err = sys.Fstat(src.FD)
	}
	switch {
	case err != nil:
	case isOther(now, options), now.UID != src.Stat.UID:
		err = errKind
	case now.Blocks*512 > limits.maxData.Load():
		err = errTooLarge
	}
	if err != nil {
		if !took {
			_ = sys.SetLease(src.FD, syscalls.NoLease)
		}
		return nil, took, err
	}
	file := os.NewFile(uintptr(src.FD), "")
	st, err = newState(file, now, src.Dir(), options)
	if err != nil { // it has closed the file
		return nil, true, err
	}
	return st, true, nil
}

// clean writes the dirty pages of a file to the disk. If the disk refused them later, the kernel
// would drop them, and the file would change without a writer. If the context ends meanwhile, clean
// gives the lease up and takes the descriptor, which is in use until the disk answers.
func clean(ctx context.Context, fd int) (took bool, err error) {
	if ctx.Done() == nil {
		return false, writeback(fd)
	}
	done := make(chan error, 1)
	go func() { done <- writeback(fd) }()
	select {
	case err := <-done:
		return false, err
	case <-ctx.Done():
		_ = sys.SetLease(fd, syscalls.NoLease)
		go func() {
			<-done
			_ = syscalls.Close(fd)
		}()
		return true, ctx.Err()
	}
}

// writeback writes the dirty pages, also where a sandbox refuses sync_file_range(2).
func writeback(fd int) error {
	err := sys.WritebackAndWait(fd)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		err = sys.Fsync(fd)
	}
	return err
}
