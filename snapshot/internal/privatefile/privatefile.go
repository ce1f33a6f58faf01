package privatefile

import (
	"context"
	"errors"
	"fmt"
	"math"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A File is an unnamed file that no other process has open, or contents in Go memory.
type File struct {
	Unnamed
	Contents []byte // if FD is -1
	Size     int64
	Method   Method
	Settled  bool // no write(2) can have been in progress when the copy was begun
	Owner    uint32
}

// Copy makes a private file with the contents of src at the first candidate that can hold it: a
// clone, or else a copy. With linkable it is to get a name in the directory of src, if that can be.
func (o Options) Copy(ctx context.Context, src Source, linkable bool) (p File, err error) {
	if err := ctx.Err(); err != nil {
		return p, err
	}
	if o.InMemory && !o.NoCopy && src.Stat.Size <= SmallSize {
		if p, err := o.copySmall(ctx, src); !errors.Is(err, errNotSmall) {
			return p, err
		}
	}
	// Mode 0: only root can open it again through /proc.
	err = o.search(src.Dir(), 0, src.Stat.Size, linkable, func(u Unnamed) (err error) {
		p, err = o.copyTo(ctx, u, src)
		return err
	})
	return p, err
}

// copySmall makes a private copy of src, a small file: it reads the contents under a lease or, if
// no lease can be had, makes a reflink in the directory of src or, if that cannot be, reads the
// contents and compares. The error is errNotSmall if the copy has to be made as that of a large
// file.
func (o Options) copySmall(ctx context.Context, src Source) (File, error) {
	l, noLease := takeLease(src)
	if noLease == nil {
		if contents, err := o.readOnce(src, &l); err == nil {
			return inMemory(contents, result{leasedCopy, true}), nil
		}
	}
	if o.RequireConsistent { // TempDir may hold a reflink
		return File{}, errNotSmall
	}
	if !src.neverClones() {
		p, err := o.cloneSmall(ctx, src)
		if !errors.Is(err, errors.ErrUnsupported) && !IsWriteError(err) {
			return p, err
		}
	}
	// Another user's file: no attempt after this one can have a lease.
	if errors.Is(noLease, syscall.EACCES) && src.Stat.Granularity() <= syscalls.ClockTick {
		settled := isSettled(src, src.Stat, noLease)
		if contents, err := o.readOnce(src, &l); err == nil {
			return inMemory(contents, result{comparedCopy, settled}), nil
		}
	}
	contents, r, err := o.readStable(ctx, src)
	return inMemory(contents, r), err
}

// cloneSmall makes a reflink of src in its directory. The error is a WriteError if no private file
// can be made there.
func (o Options) cloneSmall(ctx context.Context, src Source) (File, error) {
	fd, err := o.tmpfile(src)
	if err != nil {
		return File{}, WriteError(err)
	}
	own, err := cloneWhole(ctx, fd, src)
	if err == nil {
		err = checkCopy(own)
	}
	if err != nil {
		discard(ctx, fd)
		return File{}, err
	}
	u := Unnamed{FD: fd, place: beside}
	u.Where = o.where(u)
	return File{u, nil, own.Size, reflink, true, own.UID}, nil
}

func inMemory(contents []byte, r result) File {
	u := Unnamed{FD: -1, place: heap, Where: "in the Go heap"}
	return File{u, contents, int64(len(contents)), r.method, r.settled, 0}
}

// copyTo makes u, which is empty, what src is. If that fails, it closes u.
func (o Options) copyTo(ctx context.Context, u Unnamed, src Source) (p File, err error) {
	made := false // else it is given back, also if Progress panics
	defer func() {
		if !made {
			discard(ctx, u.FD)
		}
	}()
	r, own, err := o.fill(ctx, &u, src)
	if err == nil && u.place == memory {
		err = sys.Seal(u.FD)
	}
	if err == nil {
		err = checkCopy(own)
	}
	if made = err == nil; made {
		u.Where = o.where(u)
	}
	return File{u, nil, own.Size, r.method, r.settled, own.UID}, err
}

// discard closes a private file. If the context was cancelled, it does so in the background:
// freeing the pages takes 0.1 s for each GiB, and longer if they are being written.
func discard(ctx context.Context, fd int) {
	if ctx.Err() != nil {
		go syscalls.Close(fd)
		return
	}
	_ = syscalls.Close(fd)
}

// fill makes the private file, which is empty, what src is, and describes it. It may replace the
// file by one in TempDir.
func (o Options) fill(ctx context.Context, u *Unnamed, src Source) (result, syscalls.Stat, error) {
	accept := u.Linkable && o.Accept != nil
	own, err := cloneWhole(ctx, u.FD, src)
	if errors.Is(err, syscall.EXDEV) && u.place == beside && o.cloneInTemp(ctx, u, src, &own) {
		err = nil
	}
	if !errors.Is(err, errors.ErrUnsupported) || o.NoCopy {
		if err == nil && accept {
			err = o.Accept(own)
		}
		return result{reflink, true}, own, err
	}
	u.noClone = err
	if accept {
		if own, err = sys.Fstat(u.FD); err == nil {
			err = o.Accept(own)
		}
		if err != nil {
			return result{}, own, err
		}
	}
	again := false
	r, err := o.copyStable(ctx, src, func(w *Copier, size int64) error {
		if u.place == memory && size > memoryLimit {
			return tooLarge(size)
		}
		if again {
			if err := sys.Ftruncate(u.FD, 0); err != nil {
				return err
			}
		}
		again = true
		return w.Copy(u.FD, src.FD, size, src.Exclusive)
	})
	if err == nil {
		own, err = sys.Fstat(u.FD)
	}
	return r, own, err
}

// checkCopy checks a private copy, whose size is that of the snapshot, for the facts that safety
// hangs on.
func checkCopy(own syscalls.Stat) error {
	if own.Nlink != 0 {
		return fmt.Errorf("the private copy, made without a name, has %d names", own.Nlink)
	}
	if own.Size > math.MaxInt {
		return fmt.Errorf("%d bytes do not fit into the address space: %w", own.Size, syscall.EFBIG)
	}
	return nil
}

// cloneWhole is Clone, again and again until dst has a size that src had, or may have had, and
// describes dst. Any other size is that of a clone cut short by an error and reported as success,
// as kernels before 6.9 did; or src was cut off and written anew within these few calls.
func cloneWhole(ctx context.Context, dst int, src Source) (own syscalls.Stat, err error) {
	for i := 0; ; i++ {
		if err := Clone(ctx, dst, src.FD); err != nil {
			return own, err
		}
		own, err = statClone(dst, src)
		if !retry.IsTransient(err) || i+1 == retry.Attempts {
			return own, err
		}
		if err := sys.Ftruncate(dst, 0); err != nil {
			return own, err
		}
		if err := retry.Pause(ctx, i); err != nil {
			return own, err
		}
		if src.Stat, err = sys.Fstat(src.FD); err != nil {
			return own, err
		}
	}
}

// statClone describes dst, a clone of src, and checks that it is as long as src was before or
// after, or something between the two, if another process appended or truncated meanwhile.
func statClone(dst int, src Source) (own syscalls.Stat, err error) {
	own, err = sys.Fstat(dst)
	if err != nil || own.Size == src.Stat.Size {
		return own, err
	}
	after, err := sys.Fstat(src.FD)
	if err != nil {
		return own, err
	}
	if own.Size < min(src.Stat.Size, after.Size) || own.Size > max(src.Stat.Size, after.Size) {
		err = retry.Transient(fmt.Errorf("ficlone: the clone has %d bytes, the file %d",
			own.Size, after.Size))
	}
	return own, err
}

// cloneInTemp replaces u by a clone of src in TempDir, if it can make one, and describes it. A file
// that is mounted by itself (mount(8), --bind) lies on another filesystem than its directory, and
// TempDir may lie there, too.
func (o Options) cloneInTemp(ctx context.Context, u *Unnamed, src Source, own *syscalls.Stat) bool {
	fd, err := o.create(temporary, pathname.NoDir, 0, src.Stat.Size)
	if err != nil {
		return false
	}
	cloned, err := cloneWhole(ctx, fd, src)
	if err != nil {
		_ = syscalls.Close(fd)
		return false
	}
	_ = syscalls.Close(u.FD)
	*u, *own = Unnamed{FD: fd, place: temporary, tried: u.tried}, cloned
	return true
}

// Clone makes the empty file dst a reflink of src. The error is as of sortCopyError.
func Clone(ctx context.Context, dst, src int) error {
	err := sys.Ficlone(dst, src)
	if errors.Is(err, syscall.EINVAL) {
		err = cloneNoCOW(dst, src, err)
	}
	// EAGAIN is ZFS with dirty blocks, which it writes within moments.
	for i := 0; errors.Is(err, syscall.EAGAIN) && i < 6; i++ {
		if err := retry.Pause(ctx, i); err != nil {
			return err
		}
		err = sys.Ficlone(dst, src)
	}
	return sortCopyError(err)
}

// CloneExact is Clone of src, a file of size bytes whose size does not change. If dst gets another
// size, because the kernel cut the clone short as in cloneWhole, that is an error.
func CloneExact(ctx context.Context, dst, src int, size int64) error {
	if err := Clone(ctx, dst, src); err != nil {
		return err
	}
	own, err := sys.Fstat(dst)
	if err != nil {
		return WriteError(err)
	}
	if own.Size != size {
		return fmt.Errorf("ficlone: the clone has %d bytes, the private copy %d", own.Size, size)
	}
	return nil
}

// cloneNoCOW clones src to dst with the NOCOW flag of src, and then with the other one: btrfs clones
// only between two files with checksums or two without. NOCOW files have none, and neither have
// those that were made while the filesystem was mounted with nodatasum, of which no flag tells. On
// an empty file setting the flag ends the checksums, and clearing it begins them. The error is err,
// and the flag of dst is as it was, if neither helps.
func cloneNoCOW(dst, src int, err error) error {
	want, srcErr := sys.IsNoCOW(src)
	have, dstErr := sys.IsNoCOW(dst)
	if srcErr != nil || dstErr != nil {
		return err
	}
	for _, noCOW := range []bool{want, !want} {
		if sys.SetNoCOW(dst, noCOW) == nil && sys.Ficlone(dst, src) == nil {
			return nil
		}
	}
	_ = sys.SetNoCOW(dst, have)
	return err
}
