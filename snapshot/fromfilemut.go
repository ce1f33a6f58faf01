package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// FromFileMut is [Config.FromFileMut] with the defaults and no context.
func FromFileMut(f *os.File) (*MmapMut, error) {
	return Config{}.FromFileMut(context.Background(), f)
}

// FromFileMut makes a snapshot of the regular file behind f that can be changed, as OpenMut does,
// with the permissions that OpenMut needs. f must be open for reading, or be a descriptor of
// O_PATH: how the file is read, and which locks stay, is as with FromFile. Nothing is ever written
// to f. A commit with InPlace, and with CheckConflict the first commit of a ComparedCopy, opens the
// file and closes it, which ends the locks that this process has on it (fcntl(2), F_SETLK).
//
// Commit goes to the name that f has now, which need not be f.Name(): the file may have been moved.
// A file with several names is committed to the one by which f was opened. The snapshot is of the
// file behind f, whatever has the name at the time of a commit: it replaces another file only as
// Commit of OpenMut's snapshot does.
//
// If no name leads to the file, because it was removed or was made without a name, Commit and
// CommitAndClose fail with fs.ErrInvalid, and CommitTo and Link give the contents a name. With
// InPlace, FromFileMut fails then. If the name cannot be looked up, the error says why. The error is
// errors.ErrUnsupported where /proc is not mounted.
func (c Config) FromFileMut(ctx context.Context, f *os.File) (*MmapMut, error) {
	m, err := c.fromFileMut(ctx, f)
	if f == nil {
		return nil, pathError("open", "", err)
	}
	return m, pathError("open", f.Name(), err)
}

func (c Config) fromFileMut(ctx context.Context, f *os.File) (m *MmapMut, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, mapped.UnwrapPathError(err)
	}
	// Control keeps f open meanwhile.
	use := func(fd uintptr) { m, err = c.fromDescriptorMut(ctx, int(fd), f.Name()) }
	if conn.Control(use) != nil {
		return nil, fs.ErrClosed // as in fromFile
	}
	return m, err
}

func (c Config) fromDescriptorMut(
	ctx context.Context, fd int, name string,
) (m *MmapMut, err error) {
	st, err := statFile(fd)
	if err != nil {
		return nil, err
	}
	p, err := placeOf(fd, st)
	if err != nil {
		return nil, err
	}
	defer func() {
		if m == nil { // also if Progress panics
			p.Close()
		}
	}()
	src := privatefile.Source{FD: fd, Stat: p.Stat, Dir: p.Dir}
	if isPath, err := sys.IsPath(fd); err != nil {
		return nil, err
	} else if isPath {
		if src.FD, err = openPathDescriptor(ctx, fd, st); err != nil {
			return nil, err
		}
		defer syscalls.Close(src.FD)
		src.Exclusive = true
	} else if ok, err := sys.IsReadable(fd); err != nil {
		return nil, err
	} else if !ok {
		return nil, fmt.Errorf("not open for reading: %w", fs.ErrInvalid)
	}
	if p.DirFD != pathname.NoDir {
		if err := c.refuseName(p); err != nil {
			return nil, c.advise(ctx, src, err)
		}
		return c.copyMut(ctx, p, src, name)
	}
	if c.InPlace {
		return nil, p.RequireDir()
	}
	dir := directoryOf(fd, st)
	if dir != pathname.NoDir {
		defer syscalls.Close(dir)
	}
	src.Dir = func() int { return dir }
	return c.copyMut(ctx, p, src, name)
}

// placeOf returns where the file fd, which st describes, has its name now. If it has none, the
// location has no directory.
func placeOf(fd int, st syscalls.Stat) (*pathname.Location, error) {
	before := ""
	var lookupErr error
	for range retry.Attempts { // another process can rename the file between the two calls
		path, err := sys.FDPath(fd)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("/proc is not mounted: %w", errors.ErrUnsupported)
		}
		if err != nil {
			return nil, err
		}
		if path == before {
			break
		}
		before = path
		// The kernel gives a name to files that have none, too, by which another file can be found.
		p, err := pathname.Lookup(nil, path, false)
		if err == nil && pathname.SameInode(p.Stat, st) {
			return p, nil
		}
		if lookupErr = err; err == nil {
			p.Close()
		}
	}
	if lookupErr != nil && st.Nlink > 0 && !isNoName(lookupErr) {
		return nil, fmt.Errorf("its name is %s: %w", before, lookupErr)
	}
	file, err := sys.OpenPathFollow(syscalls.AtFdcwd, "/proc/self/fd/"+strconv.Itoa(fd))
	return &pathname.Location{DirFD: pathname.NoDir, FD: file, Stat: st}, err
}

// isNoName reports whether the error of looking up the name that the kernel gives says that the file
// has none. To the name of a file that was removed, the kernel appends " (deleted)".
func isNoName(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) ||
		errors.Is(err, syscall.ENAMETOOLONG)
}
