package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// keptFrom is the size from which on the state of a file is kept. Smaller files are copied whole.
const keptFrom = 1 << 20

// A keptState describes a reflink, in the directory that -keep names, of the contents that were
// copied. The next backup uses the file only if all of this is still so: a user who may write to
// the directory can move files, but cannot give a file an inode number and a time of change.
type keptState struct {
	Name       string // below the directory
	Filesystem uint64 // f_fsid (statfs(2))
	Inode      uint64
	ChangeTime time.Time
	Size       int64
}

func (s keptState) equal(t keptState) bool {
	return s.Name == t.Name && s.Filesystem == t.Filesystem && s.Inode == t.Inode &&
		s.ChangeTime.Equal(t.ChangeTime) && s.Size == t.Size
}

// describeState describes an open file of the directory.
func describeState(name string, f *os.File) (keptState, error) {
	fi, err := f.Stat()
	if err != nil {
		return keptState{}, err
	}
	id, err := filesystemID(f)
	return keptState{name, id, inode(fi), changeTime(fi).UTC(), fi.Size()}, err
}

// A keep is the directory that -keep names. Each backup keeps its states in a directory of its own
// there. No kept state is used before a manifest names it, and the manifest is written last.
type keep struct {
	name string
	all  *os.Root
	info fs.FileInfo
	own  string   // the name of this backup's directory
	root *os.Root // and the directory
	next atomic.Int64
}

// openKeep opens the directory name, which it makes if there is none, for its owner alone. The
// directory stays if the backup fails: by then, its name may lead to another one.
func openKeep(name string) (*keep, error) {
	k := &keep{name: name, own: rand.Text()}
	if err := k.open(); err != nil {
		err = errors.Join(err, k.remove())
		k.close()
		return nil, err
	}
	return k, nil
}

func (k *keep) open() error {
	err := os.Mkdir(k.name, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if k.all, err = openRoot(k.name); err != nil {
		return err
	}
	if k.info, err = k.all.Stat("."); err != nil {
		return err
	}
	if !ownersAlone(k.info) {
		return fmt.Errorf("%s: another user may write to it: no state is kept there", k.name)
	}
	if err = k.all.Mkdir(k.own, 0o700); err != nil {
		return err
	}
	k.root, err = openBelow(k.all, k.own)
	return err
}

// ownersAlone reports whether a file belongs to the caller or root, and only its owner may write
// to it.
func ownersAlone(fi fs.FileInfo) bool {
	uid, _, ok := owner(fi)
	return (!ok || uid == os.Geteuid() || uid == 0) && fi.Mode().Perm()&0o022 == 0
}

// snapshot makes a snapshot of f that can be kept. It returns nil if there can be no reflink.
func (k *keep) snapshot(ctx context.Context, f *os.File) *snapshot.Mmap {
	// NoSync: sync brings all states to the disk.
	config := snapshot.Config{Root: k.root, NoCopy: true, NoSync: true, Perm: 0o600, TempDir: k.name}
	m, err := config.FromFile(ctx, f)
	if err != nil {
		return nil // copying will tell whether it is serious
	}
	return m
}

// keepState keeps the contents of a snapshot that keep.snapshot made. If that fails, the next backup
// copies the file whole. There is no message if the directory lies on another filesystem than the file.
func (c *copier) keepState(ctx context.Context, e *entry, m *snapshot.Mmap) error {
	var err error
	e.Kept, err = c.keep.state(ctx, m)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) && ctx.Err() == nil {
		c.say(e, "its state is not kept: "+err.Error())
	}
	return ctx.Err()
}

// state links the contents of m into the directory of this backup, and describes the file.
func (k *keep) state(ctx context.Context, m *snapshot.Mmap) (*keptState, error) {
	name := strconv.FormatInt(k.next.Add(1), 10)
	err := m.LinkContext(ctx, name)
	if err != nil {
		return nil, err
	}
	f, err := openFile(ctx, k.root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, err := describeState(k.own+"/"+name, f)
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// openState makes a snapshot of a kept state, if it is what the manifest says.
func (k *keep) openState(ctx context.Context, s keptState) (*snapshot.Mmap, error) {
	f, err := openFile(ctx, k.all, s.Name)
	if err != nil {
		return nil, wholeUnless(ctx, err)
	}
	defer f.Close()
	m, err := snapshot.Config{NoCopy: true}.FromFile(ctx, f)
	if err != nil {
		return nil, wholeUnless(ctx, err)
	}
	// Of the file as it is now: a store before the snapshot was made has changed its time.
	now, err := describeState(s.Name, f)
	if err == nil && !now.equal(s) {
		err = fmt.Errorf("%s is not the state that was kept", s.Name)
	}
	if err != nil {
		_ = m.Close()
		return nil, &wholeError{err}
	}
	return m, nil
}

// forget removes a file if it is that state.
func (k *keep) forget(ctx context.Context, s keptState) error {
	f, err := openFile(ctx, k.all, s.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if now, err := describeState(s.Name, f); err != nil || !now.equal(s) {
		return errors.Join(err, errors.New("replaced by another file"))
	}
	return k.all.Remove(s.Name)
}

// sync brings the states to the disk.
func (k *keep) sync() error {
	if k == nil {
		return nil
	}
	dir, err := openDir(k.root, ".")
	if err != nil {
		return err
	}
	return errors.Join(syncFilesystem(dir), dir.Close())
}

// is reports whether fi describes the directory.
func (k *keep) is(fi fs.FileInfo) bool { return k != nil && os.SameFile(k.info, fi) }

// remove removes the states of this backup.
func (k *keep) remove() error {
	if k == nil || k.all == nil {
		return nil
	}
	return k.all.RemoveAll(k.own)
}

func (k *keep) close() {
	if k == nil {
		return
	}
	for _, root := range []*os.Root{k.root, k.all} {
		if root != nil {
			_ = root.Close()
		}
	}
}
