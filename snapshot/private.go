package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// options are the part of a configuration that says how private files are made.
type options struct {
	NoCopy, RequireConsistent bool
	TempDir                   string
	Progress                  func(done, total int64)
}

// how is how a private file got its contents: see snapshot.Method, which has the same values.
type how int

const (
	none how = iota
	reflink
	leasedCopy
	comparedCopy
)

// A private is an unnamed file that nobody else has open.
type private struct {
	room
	size   int64
	method how
	owner  uint32
}

// An original is a file that is to be copied.
type original struct {
	fd   int           // open for reading
	own  bool          // nobody else uses this descriptor: its offset may be moved, a lease taken
	stat syscalls.Stat // of a moment ago
	dir  int           // a directory of its filesystem, or noDir
}

// privateCopy makes a private file with the contents of src: a clone, wherever the ladder leads,
// or else a copy. With linkable it is to get a name in the directory of src, if that can be.
func (c options) privateCopy(ctx context.Context, src original, linkable bool) (p private, err error) {
	if err := ctx.Err(); err != nil {
		return p, err
	}
	// Mode 0: nobody but root can open it again through /proc.
	r, err := c.newPrivate(src.dir, 0, src.stat.Size, linkable)
	if err != nil {
		return p, err
	}
	made := false // else it is given back, also if Progress panics
	defer func() {
		if !made {
			discard(ctx, r.fd)
		}
	}()
	method, err := c.fill(ctx, r, src)
	if err != nil {
		return p, r.because(err)
	}
	if r.memory && !linkable {
		if err := sysSeal(r.fd); err != nil {
			return p, r.because(err)
		}
	}
	own, err := checkCopy(r.fd)
	made = err == nil
	return private{r, own.Size, method, own.UID}, err
}

// discard closes a private file. If somebody has given up on it he does not want to wait until
// its pages are freed, which takes 0.1 s for each GiB, and longer if they are being written.
func discard(ctx context.Context, fd int) {
	if ctx.Err() != nil {
		go syscalls.Close(fd)
		return
	}
	_ = syscalls.Close(fd)
}

// fill makes the private file, which is empty, what src is.
func (c options) fill(ctx context.Context, r room, src original) (how, error) {
	err := cloneWhole(ctx, r.fd, src)
	if !errors.Is(err, errors.ErrUnsupported) || c.NoCopy {
		return reflink, err
	}
	if !src.own {
		// Without /proc, or if the file may not be opened again, holes are copied as zeros and
		// there is no lease.
		if fd, err := sysReopen(src.fd); err == nil {
			defer syscalls.Close(fd)
			src.fd, src.own = fd, true
		}
	}
	limit := int64(math.MaxInt64)
	if r.memory {
		limit = memoryLimit
	}
	return c.untorn(ctx, r.fd, src, limit)
}

// checkCopy describes the private copy, whose size is that of the snapshot, after looking at
// what safety hangs on: that the file has no name.
func checkCopy(fd int) (own syscalls.Stat, err error) {
	own, err = sysFstat(fd)
	if err != nil {
		return own, err
	}
	if own.Nlink != 0 {
		return own, fmt.Errorf("unnamed file has %d names", own.Nlink)
	}
	if own.Size > math.MaxInt {
		return own, fmt.Errorf("%d bytes do not fit into the address space: %w", own.Size, syscall.EFBIG)
	}
	return own, nil
}

// cloneWhole is clone, again and again until dst has a size that src had, or may have had. Any other
// is that of a clone cut short by an error and reported as success, as kernels before 6.9 did;
// or src was cut off and written anew within these few calls.
func cloneWhole(ctx context.Context, dst int, src original) error {
	for i := 0; ; i++ {
		if err := clone(ctx, dst, src.fd); err != nil {
			return err
		}
		err := sizeOfClone(dst, src)
		if !isTransient(err) || i+1 == attempts {
			return err
		}
		if err := sysFtruncate(dst, 0); err != nil {
			return err
		}
		if err := pause(ctx, i); err != nil {
			return err
		}
		if src.stat, err = sysFstat(src.fd); err != nil {
			return err
		}
	}
}

// sizeOfClone checks that dst, a clone of src, is as long as that was before or after, or something
// between the two, if somebody appended or truncated meanwhile.
func sizeOfClone(dst int, src original) error {
	own, err := sysFstat(dst)
	if err != nil || own.Size == src.stat.Size {
		return err
	}
	after, err := sysFstat(src.fd)
	if err != nil {
		return err
	}
	if own.Size < min(src.stat.Size, after.Size) || own.Size > max(src.stat.Size, after.Size) {
		return again(fmt.Errorf("ficlone: %d bytes were cloned, of %d", own.Size, after.Size))
	}
	return nil
}

// clone makes the empty file dst a reflink of src.
func clone(ctx context.Context, dst, src int) error {
	err := sysFiclone(dst, src)
	if errors.Is(err, syscall.EINVAL) && matchNocow(dst, src) {
		err = sysFiclone(dst, src)
	}
	// EAGAIN is ZFS with dirty blocks, which it writes within moments.
	for i := 0; errors.Is(err, syscall.EAGAIN) && i < 6; i++ {
		if err := pause(ctx, i); err != nil {
			return err
		}
		err = sysFiclone(dst, src)
	}
	if errors.Is(err, syscall.EAGAIN) {
		err = fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

// matchNocow gives dst the NOCOW flag of src, or takes it away, and reports whether that
// changed anything: btrfs clones only between files that agree in it.
func matchNocow(dst, src int) bool {
	want, err := sysNocow(src)
	if err != nil {
		return false
	}
	have, err := sysNocow(dst)
	return err == nil && have != want && sysSetNocow(dst, want) == nil
}
