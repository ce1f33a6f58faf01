package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A private is an unnamed file that nobody else has open.
type private struct {
	fd       int
	linkable bool // it can be given a name in the directory it was made for
	size     int64
	method   Method
	owner    uint32
}

// newPrivate makes an empty private file in the directory dir, or in TempDir where dir cannot
// hold it. With linkable, it can be given a name in dir, if dir has unnamed files at all; and a
// directory that may not be written to is an error.
func (c Config) newPrivate(dir int, perm uint32, linkable bool) (private, error) {
	if linkable {
		fd, err := sysTmpfile(dir, perm)
		if !errors.Is(err, errors.ErrUnsupported) {
			return private{fd: fd, linkable: true}, err
		}
	}
	fd, err := c.newNameless(dir, perm)
	return private{fd: fd}, err
}

// newNameless makes an empty file that can never get a name, in dir or else in TempDir.
func (c Config) newNameless(dir int, perm uint32) (int, error) {
	fd, err := -1, error(errors.ErrUnsupported)
	if dir != noDir {
		fd, err = sysTmpfileExcl(dir, perm)
	}
	if err == nil || !cannotHold(err) {
		return fd, err
	}
	name := c.TempDir
	if name == "" {
		name = os.TempDir()
	}
	temp, err := sysOpenDir(syscalls.AtFdcwd, name)
	if err != nil {
		return -1, fmt.Errorf("temporary directory %s: %w", name, err)
	}
	defer syscalls.Close(temp)
	fd, err = sysTmpfileExcl(temp, perm)
	if err != nil {
		return -1, fmt.Errorf("temporary directory %s: %w", name, err)
	}
	return fd, nil
}

// cannotHold reports whether an error of O_TMPFILE means that this directory is not the place
// for an unnamed file, while another may be.
func cannotHold(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || // the filesystem knows no O_TMPFILE
		errors.Is(err, fs.ErrPermission) || // EACCES: the directory may not be written to; EPERM: /proc, or immutable
		errors.Is(err, syscall.EROFS) || // read-only
		errors.Is(err, fs.ErrNotExist) // the directory was removed
	// Left out: ENOSPC and EDQUOT, which are the user's to know of.
}

// privateCopy makes a private file with the contents of src, which was st a moment ago. sparse
// says that the offset of src may be moved.
func (c Config) privateCopy(ctx context.Context, src int, st syscalls.Stat, sparse bool, dir int, linkable bool) (p private, err error) {
	if err := ctx.Err(); err != nil {
		return p, err
	}
	// Mode 0: nobody but root can open it again through /proc.
	p, err = c.newPrivate(dir, 0, linkable)
	if err != nil {
		return p, err
	}
	fd := p.fd
	defer func() {
		if err != nil {
			_ = syscalls.Close(fd)
		}
	}()
	p.method = Reflink
	err = clone(ctx, fd, src)
	if errors.Is(err, errors.ErrUnsupported) && !c.NoCopy {
		if c.RequireConsistent {
			return p, fmt.Errorf("%w: %w", ErrUnstable, err)
		}
		p.method = ComparedCopy
		err = copier{ctx, c.Progress}.compared(fd, src, sparse)
	}
	if err != nil {
		return p, err
	}
	own, err := checkCopy(fd, src, st, p.method)
	p.size, p.owner = own.Size, own.UID
	return p, err
}

// checkCopy describes the private copy, whose size is that of the snapshot, after looking at
// what safety hangs on: that the file has no name, and that its size is one src had.
func checkCopy(fd, src int, before syscalls.Stat, method Method) (own syscalls.Stat, err error) {
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
	if method != Reflink || own.Size == before.Size {
		return own, nil
	}
	// Somebody appended or truncated between the first look and the clone. A size that the file
	// never had is a clone cut short by an error and reported as success, as kernels before 6.9
	// did.
	after, err := sysFstat(src)
	if err != nil {
		return own, err
	}
	if own.Size < min(before.Size, after.Size) || own.Size > max(before.Size, after.Size) {
		return own, fmt.Errorf("ficlone: only %d of %d bytes were cloned", own.Size, after.Size)
	}
	return own, nil
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
