package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/publish"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// Open is [Config.Open] with the defaults and no context.
func Open(name string) (*Mmap, error) { return Config{}.Open(context.Background(), name) }

// OpenMut is [Config.OpenMut] with the defaults and no context.
func OpenMut(name string) (*MmapMut, error) { return Config{}.OpenMut(context.Background(), name) }

// Create is [Config.Create] with the defaults and no context.
func Create(name string) (*MmapMut, error) { return Config{}.Create(context.Background(), name) }

// FromFile is [Config.FromFile] with the defaults and no context.
func FromFile(f *os.File) (*Mmap, error) { return Config{}.FromFile(context.Background(), f) }

// Open makes a snapshot of the regular file name. Symbolic links are followed; with Root, the name
// never leads out of that directory. Read permission is all it needs, whatever the state of the
// disk; the package documentation says where the copy lies.
//
// A file of at most 128 KiB is read into memory, in less than twice the time of os.ReadFile if it
// belongs to this process's user: the package comment has a section on small files.
//
// For larger files on a filesystem with reflinks (XFS, btrfs) it takes microseconds whatever the
// size, and then for each extent of the file and for each dirty page that has to be written back
// first. Elsewhere the data are copied, holes left out, and copied again if the file changed
// meanwhile: see [Method]. If the context ends, so does the copy, within milliseconds as a rule:
// it looks at the context every ten or so.
//
// If another process holds a write lease on the file (fcntl(2), F_SETLEASE), Open asks for the
// lease and waits until the holder gives it up, the context ends or two seconds have passed. The
// error is then that of the context, or one that names the lease and is syscall.EAGAIN.
func (c Config) Open(ctx context.Context, name string) (*Mmap, error) {
	m, err := c.open(ctx, name)
	return m, pathError("open", name, err)
}

// OpenMut makes a snapshot of the regular file name that can be changed, and committed as the
// file's new contents. It needs permission to read and to write the file, and to write to its
// directory and to read it, but never opens the file for writing. A write lease of another
// process is as with Open.
//
// OpenMut fails if no commit to the file could succeed, for a reason that it can know:
//
//	the file or its directory may not be written to    syscall.EACCES, EROFS
//	the directory may not be read, and neither NoSync  syscall.EACCES
//	nor InPlace is set, or CheckConflict is
//	the file is immutable or append-only (chattr(1))   syscall.EPERM
//	owner or group cannot be given to a new file       syscall.EPERM, EINVAL; not with InPlace
//	the name is a mount point                          syscall.EBUSY; not with InPlace
//	more than 64 KiB of names of extended attributes   syscall.E2BIG; not with InPlace
//
// The error says so if InPlace would work. The owner is tried where the filesystem has unnamed
// files (O_TMPFILE). The kernel reports append-only files since Linux 4.11, mount points since 5.8.
// A security module that forbids to open the directory fails the commit.
func (c Config) OpenMut(ctx context.Context, name string) (*MmapMut, error) {
	m, err := c.openMut(ctx, name)
	return m, pathError("open", name, err)
}

// Create makes an empty MmapMut that becomes the file name with the first Commit; until then
// nothing of it can be seen. If there is a file of that name, the commit replaces its contents and
// keeps its mode and owner, without set-id bits that Perm does not have, and without capabilities;
// CheckConflict makes it fail instead. In a sticky directory that is writable for group or others,
// a file that belongs neither to the caller nor to the owner of the directory is not replaced: the
// error of Create, or of Commit if the file came later, is syscall.EACCES. The directory must
// exist. Create fails, as OpenMut does, if the directory may not be read or written to, and,
// without CheckConflict, if a file has the name that no commit can replace.
func (c Config) Create(ctx context.Context, name string) (*MmapMut, error) {
	m, err := c.create(ctx, name)
	return m, pathError("create", name, err)
}

// FromFile makes a snapshot of the regular file behind f, under whatever name, or none. The private
// copy of a file of more than 128 KiB goes to the directory that f lies in, or else to TempDir; if
// that is on another filesystem, the data are copied. f stays open, and its offset stays where it
// was.
//
// If f is open for reading, FromFile does not open the file again. Therefore the locks stay that
// this process has on the file (fcntl(2), F_SETLK): closing any descriptor of the file would end
// them. FromFile sets no lease on f, so a copy of the data, of a small file, too, is a ComparedCopy,
// which RequireConsistent refuses. FromFile reads the holes of the file; in the copy, they take no
// space, unless it is small: then they take memory. If f is open with O_DIRECT, where the data have
// to be copied, the error can be syscall.EINVAL, because such reads must be aligned.
//
// If f is a descriptor of O_PATH, FromFile opens the file for reading, whatever name it has by now,
// and closes it: leases, holes and locks are as with Open. The error is errors.ErrUnsupported where
// /proc is not mounted.
func (c Config) FromFile(ctx context.Context, f *os.File) (*Mmap, error) {
	m, err := c.fromFile(ctx, f)
	if f == nil {
		return nil, pathError("open", "", err)
	}
	return m, pathError("open", f.Name(), err)
}

func (c Config) open(ctx context.Context, name string) (*Mmap, error) {
	p, err := pathname.ResolveFile(c.Root, name)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	src, err := p.OpenRead(ctx)
	if err != nil {
		return nil, err
	}
	dir := func() int {
		if p.Dir() == pathname.NoDir && c.Root == nil {
			p.DirFD = directoryOf(p.FD, p.Stat)
		}
		return p.DirFD
	}
	return c.openFile(ctx, privatefile.Source{
		FD: src, Exclusive: true, Stat: p.Stat, Dir: dir,
		DirName: func() string { return p.Unopened },
	}, p, name)
}

func (c Config) fromFile(ctx context.Context, f *os.File) (m *Mmap, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, mapped.UnwrapPathError(err)
	}
	// Control keeps f from being closed by somebody else meanwhile.
	if conn.Control(func(fd uintptr) { m, err = c.fromDescriptor(ctx, int(fd), f.Name()) }) != nil {
		return nil, fs.ErrClosed // the one error it has, under a name that is internal to package os
	}
	return m, err
}

func (c Config) fromDescriptor(ctx context.Context, fd int, name string) (*Mmap, error) {
	st, err := statFile(fd)
	if err != nil {
		return nil, err
	}
	src := privatefile.Source{FD: fd, Stat: st, DirName: func() string { return directoryName(fd) }}
	if ok, err := sys.IsPath(fd); err != nil {
		return nil, err
	} else if ok {
		if src.FD, err = openPathDescriptor(ctx, fd, st); err != nil {
			return nil, err
		}
		src.Exclusive = true
	} else if ok, err := sys.IsReadable(fd); err != nil {
		return nil, err
	} else if !ok {
		return nil, fmt.Errorf("not open for reading: %w", fs.ErrInvalid)
	}
	at := pathname.Location{DirFD: pathname.NoDir, FD: -1, Stat: st}
	defer at.Close()
	src.Dir = func() int {
		if at.DirFD == pathname.NoDir {
			at.DirFD = directoryOf(fd, at.Stat)
		}
		return at.DirFD
	}
	if src.Exclusive {
		return c.openFile(ctx, src, &at, name)
	}
	return c.copyFile(ctx, src, name)
}

// statFile describes the regular file fd, which is to be copied.
func statFile(fd int) (syscalls.Stat, error) {
	st, err := sys.Fstat(fd)
	if pathname.IsGone(err) { // a FUSE server says ENOENT, of a file that is open
		err = os.NewSyscallError("fstat", syscall.ESTALE)
	}
	if err == nil {
		err = pathname.CheckReadable(fd, st)
	}
	return st, err
}

// openPathDescriptor opens for reading the regular file whose descriptor of O_PATH is fd.
func openPathDescriptor(ctx context.Context, fd int, st syscalls.Stat) (int, error) {
	p := pathname.Location{DirFD: pathname.NoDir, FD: fd, Stat: st}
	return p.OpenRead(ctx)
}

// directoryOf opens a directory on the filesystem of fd: the one in which the file was last
// known to lie, if that is such a one. Which directory it is does not matter, nor whether the
// file is still there.
func directoryOf(fd int, st syscalls.Stat) int {
	name := directoryName(fd)
	if name == "" {
		return pathname.NoDir
	}
	dir, err := sys.OpenDir(syscalls.AtFdcwd, name)
	if err != nil {
		return pathname.NoDir
	}
	if at, err := sys.Fstat(dir); err != nil || at.Dev != st.Dev {
		_ = syscalls.Close(dir)
		return pathname.NoDir
	}
	return dir
}

// directoryName returns the name of the directory in which the file fd was last known to lie, or "".
func directoryName(fd int) string {
	path, err := sys.FDPath(fd)
	if err != nil {
		return ""
	}
	parent, _ := pathname.Split(path)
	return parent
}

func (c Config) openMut(ctx context.Context, name string) (m *MmapMut, err error) {
	p, err := pathname.Resolve(c.Root, name, false)
	if err != nil {
		return nil, err
	}
	defer func() {
		if m == nil { // also if Progress panics
			p.Close()
		}
	}()
	return c.openMutAt(ctx, p, name)
}

func (c Config) openMutAt(ctx context.Context, p *pathname.Location, name string) (*MmapMut, error) {
	if err := p.RequireDir(); err != nil {
		return nil, err
	}
	if err := c.refuseName(p); err != nil {
		return nil, c.adviseUnopened(ctx, p, err)
	}
	fd, err := p.OpenRead(ctx)
	if err != nil {
		return nil, err
	}
	defer syscalls.Close(fd)
	src := privatefile.Source{FD: fd, Exclusive: true, Stat: p.Stat, Dir: p.Dir}
	return c.copyMut(ctx, p, src, name)
}

// copyMut makes a snapshot of src, the file at p.
func (c Config) copyMut(
	ctx context.Context, p *pathname.Location, src privatefile.Source, name string,
) (*MmapMut, error) {
	// Any other error is left to a commit, which may meet it again: a snapshot that is committed in
	// place needs no attributes.
	known, err := publish.ReadAttributes(src.FD)
	if pathname.IsGone(err) {
		known = &publish.Attributes{UID: p.Stat.UID, GID: p.Stat.GID, Perm: p.Stat.Perm}
	} else if err := c.refuseAttributes(err); err != nil {
		return nil, c.advise(ctx, src, err)
	}
	open := c.options(false)
	open.NoCopy = c.NoCopy || c.InPlace
	publishable := !c.InPlace && p.DirFD != pathname.NoDir
	if publishable {
		open.Accept = p.CheckOwner
	}
	copied, err := open.Copy(ctx, src, publishable)
	if err != nil {
		if c.InPlace {
			err = fmt.Errorf("in place: %w", err)
		}
		return nil, c.advise(ctx, src, err)
	}
	origin := publish.NewOrigin(p, known)
	if c.CheckConflict && Method(copied.Method) == ComparedCopy {
		sum, err := privatefile.Checksum(ctx, copied.FD)
		if err != nil {
			_ = syscalls.Close(copied.FD)
			return nil, err
		}
		origin.HasCopied = func(ctx context.Context, fd int) (bool, error) {
			now, err := privatefile.Checksum(ctx, fd)
			return now == sum, err
		}
	}
	return c.newMmapMut(copied, origin, name)
}

func (c Config) create(ctx context.Context, name string) (*MmapMut, error) {
	if c.InPlace {
		return nil, fmt.Errorf("a new file cannot be committed in place: %w", errors.ErrUnsupported)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := pathname.Resolve(c.Root, name, true)
	if err != nil {
		return nil, err
	}
	m, err := c.createAt(p, name)
	if err != nil {
		p.Close()
	}
	return m, err
}

func (c Config) createAt(p *pathname.Location, name string) (*MmapMut, error) {
	if err := p.RequireDir(); err != nil {
		return nil, err
	}
	replaces := p.FD >= 0 && !c.CheckConflict
	if replaces {
		if err := p.CheckReplaceable(); err != nil {
			return nil, err
		}
	}
	if err := c.refuseDirectory(p.DirFD); err != nil {
		return nil, err
	}
	r, err := c.options(false).Create(p.DirFD, c.perm(), 0, true)
	if err != nil {
		return nil, err
	}
	stat, err := sys.Fstat(r.FD)
	if err == nil && replaces && r.Linkable {
		err = p.CheckOwner(stat)
	}
	if err != nil {
		_ = syscalls.Close(r.FD)
		return nil, err
	}
	p.CloseFD()
	p.Stat = stat
	origin := publish.NewOrigin(p, nil)
	origin.Perm = c.perm()
	return c.newMmapMut(privatefile.File{Unnamed: r, Owner: stat.UID}, origin, name)
}
