package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

func (c Config) open(ctx context.Context, name string) (*Mmap, error) {
	p, err := resolve(name, false)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if p.dir == noDir {
		p.dir = directoryOf(p.file, p.stat)
	}
	src, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	defer syscalls.Close(src)
	copied, err := c.options().privateCopy(ctx, original{fd: src, own: true, stat: p.stat, dir: p.dir}, false)
	if err != nil {
		return nil, err
	}
	return newMmap(copied, name, p.stat)
}

func (c Config) fromFile(ctx context.Context, f *os.File) (m *Mmap, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, bare(err)
	}
	// Control keeps f from being closed by somebody else meanwhile.
	if conn.Control(func(fd uintptr) { m, err = c.fromDescriptor(ctx, int(fd), f.Name()) }) != nil {
		return nil, fs.ErrClosed // the one error it has, under a name that is internal to package os
	}
	return m, err
}

func (c Config) fromDescriptor(ctx context.Context, fd int, name string) (*Mmap, error) {
	st, err := sysFstat(fd)
	if err != nil {
		return nil, err
	}
	if !st.Mode.IsRegular() {
		return nil, notRegular(st.Mode)
	}
	if ok, err := sysReadable(fd); err != nil {
		return nil, err
	} else if !ok {
		return nil, fmt.Errorf("not open for reading: %w", fs.ErrInvalid)
	}
	dir := directoryOf(fd, st)
	if dir != noDir {
		defer syscalls.Close(dir)
	}
	copied, err := c.options().privateCopy(ctx, original{fd: fd, stat: st, dir: dir}, false)
	if err != nil {
		return nil, err
	}
	return newMmap(copied, name, st)
}

// directoryOf opens a directory on the filesystem of fd: the one in which the file was last
// known to lie, if that is such a one. Which directory it is does not matter, nor whether the
// file is still there.
func directoryOf(fd int, st syscalls.Stat) int {
	path, err := sysFdPath(fd)
	if err != nil {
		return noDir
	}
	parent, _ := split(path)
	dir, err := sysOpenDir(syscalls.AtFdcwd, parent)
	if err != nil {
		return noDir
	}
	if at, err := sysFstat(dir); err != nil || at.Dev != st.Dev {
		_ = syscalls.Close(dir)
		return noDir
	}
	return dir
}

func (c Config) openMut(ctx context.Context, name string) (m *MmapMut, err error) {
	p, err := resolve(name, false)
	if err != nil {
		return nil, err
	}
	defer func() {
		if m == nil { // also if Progress panics
			p.close()
		}
	}()
	return c.openMutAt(ctx, p, name)
}

func (c Config) openMutAt(ctx context.Context, p *place, name string) (*MmapMut, error) {
	if err := p.needDir(); err != nil {
		return nil, err
	}
	if err := sysCanWrite(p.file, p.dir, p.base); err != nil {
		return nil, err
	}
	src, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	defer syscalls.Close(src)
	// An error other than that the file was replaced is left to a commit, which may meet it again: a
	// snapshot that is only read, or committed in place, needs no attributes.
	known, err := readAttributes(src)
	if gone(err) {
		known = &attributes{uid: p.stat.UID, gid: p.stat.GID, perm: p.stat.Perm}
	}
	open := c.options()
	open.NoCopy = c.NoCopy || c.InPlace
	copied, err := open.privateCopy(ctx, original{fd: src, own: true, stat: p.stat, dir: p.dir}, !c.InPlace)
	if err != nil {
		if c.InPlace {
			err = fmt.Errorf("in place: %w", err)
		}
		return nil, err
	}
	m, err := c.newMmapMut(copied, p, name)
	if err == nil {
		m.known = known
	}
	return m, err
}

func (c Config) create(ctx context.Context, name string) (*MmapMut, error) {
	if c.InPlace {
		return nil, fmt.Errorf("in place: %w: a new file", errors.ErrUnsupported)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := resolve(name, true)
	if err != nil {
		return nil, err
	}
	m, err := c.createAt(p, name)
	if err != nil {
		p.close()
	}
	return m, err
}

func (c Config) createAt(p *place, name string) (*MmapMut, error) {
	if err := p.needDir(); err != nil {
		return nil, err
	}
	if p.file >= 0 && !c.CheckConflict {
		if err := p.replaceable(); err != nil {
			return nil, err
		}
	}
	r, err := c.options().newPrivate(p.dir, c.perm(), 0, true)
	if err != nil {
		return nil, err
	}
	stat, err := sysFstat(r.fd)
	if err != nil {
		_ = syscalls.Close(r.fd)
		return nil, err
	}
	p.closeFile()
	p.stat = stat
	m, err := c.newMmapMut(private{room: r, owner: stat.UID}, p, name)
	if err == nil {
		m.setID = c.perm() & setID
	}
	return m, err
}

// bare takes the operation and the path off an error of package os, which will get ours.
func bare(err error) error {
	if e, ok := err.(*fs.PathError); ok { //nolint:errorlint // the outermost only
		return e.Err
	}
	return err
}
