package snapshot

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// The functions of this file find, when a file is opened, reasons for which no commit to the file
// can succeed, so that the caller does no work in vain. They know only reasons that last.

// refuseName returns why the file at p, which is open, can neither be changed nor be replaced by a
// rename. It costs two system calls, or three if a commit has to open the directory.
func (c Config) refuseName(p *pathname.Location) error {
	isMountPoint, err := p.CheckWritable()
	if err != nil {
		return err
	}
	if isMountPoint && !c.InPlace {
		return pathname.MountPoint()
	}
	return c.refuseDirectory(p.DirFD)
}

// refuseDirectory returns why a commit cannot open the directory, which it does for the lock and
// for fsync, unless NoSync or InPlace is set and CheckConflict is not. If the directory may not be
// written to, the error comes from making the private file.
func (c Config) refuseDirectory(dir int) error {
	if (c.NoSync || c.InPlace) && !c.CheckConflict {
		return nil
	}
	err := sys.AccessRead(dir, dir, ".")
	if err != nil {
		err = openDirectory(dir) // which does not depend on the real user ID
	}
	switch {
	case err == nil:
		return nil
	case c.CheckConflict:
		return fmt.Errorf("the directory, which a commit opens for fsync and for a lock: %w", err)
	}
	return fmt.Errorf("the directory, which a commit opens for fsync (not with Config.NoSync): %w",
		err)
}

// openDirectory returns the error of opening a directory as a commit does.
func openDirectory(dir int) error {
	fd, err := sys.ReopenDir(dir)
	if err == nil {
		err = syscalls.Close(fd)
	}
	return err
}

// refuseAttributes returns why a commit cannot read the extended attributes of the file. err is the
// error of reading them now: another error than this one may be gone by the time of the commit.
func (c Config) refuseAttributes(err error) error {
	if c.InPlace || !errors.Is(err, syscall.E2BIG) {
		return nil
	}
	// XFS stores any number of attributes, but listxattr(2) has a limit (xattr(7)).
	return &pathname.ReplaceError{
		Reason: "extended attributes with more than 64 KiB of names, the most that the kernel lists",
		Err:    err,
	}
}

// advise adds to a *pathname.ReplaceError that Config.InPlace would work, if it would: src can be
// cloned.
func (c Config) advise(ctx context.Context, src privatefile.Source, err error) error {
	refused := new(pathname.ReplaceError)
	if !errors.As(err, &refused) {
		return err
	}
	o := c.options(false)
	o.NoCopy = true
	clone, cloneErr := o.Copy(ctx, src, false)
	if cloneErr != nil {
		return err
	}
	_ = syscalls.Close(clone.FD)
	return &pathname.ReplaceError{
		Reason: refused.Reason + " (Config.InPlace would work)",
		Err:    refused.Err,
	}
}

// adviseUnopened is advise for the file at p. It opens the file, but does not wait for a lease of
// another process: if the file cannot be opened at once, nothing is added to the error.
func (c Config) adviseUnopened(ctx context.Context, p *pathname.Location, err error) error {
	if !errors.As(err, new(*pathname.ReplaceError)) {
		return err
	}
	fd, openErr := p.Reopen(sys.Reopen, sys.OpenRead)
	if openErr != nil {
		return err
	}
	defer syscalls.Close(fd)
	src := privatefile.Source{FD: fd, Exclusive: true, Stat: p.Stat, Dir: p.Dir}
	return c.advise(ctx, src, err)
}
