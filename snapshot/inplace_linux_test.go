package snapshot_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// In place, the file keeps its inode, and so all links to it and descriptors of it show the
// change. It may grow, and not shrink.
//
//promise:snapshot.Config.InPlace Commit keeps inode and links, and open descriptors see the change
//promise:snapshot.Config.InPlace the size may grow, and a smaller size is an error
func TestInPlace(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		for _, way := range ways[:3] {
			t.Run(way.name, func(t *testing.T) {
				mounttest.Leaks(t)
				name := join(dir, way.name)
				data := noise(1, 12289)
				write(t, name, data)
				must(t, os.Link(name, name+".link"))
				f := openFile(t, name, os.O_RDONLY)
				before, err := f.Stat()
				must(t, err)
				m, err := inPlace.OpenMut(context.Background(), name)
				must(t, err)
				closeLater(t, m)
				copy(m.Bytes()[5000:], "changed")
				copy(data[5000:], "changed")
				must(t, m.Commit())
				wantFile(t, name+".link", data)
				must(t, m.Resize(5000))
				if err := way.do(m); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "from 12289 to 5000 bytes") {
					t.Error(err)
				}
				wantFile(t, name, data)
				must(t, m.Resize(20000))
				must(t, way.do(m))
				want := append(data[:5000:5000], make([]byte, 15000)...)
				got := make([]byte, 20000)
				_, err = f.ReadAt(got, 0)
				must(t, err)
				wantBytes(t, "a descriptor opened before", got, want)
				after, err := os.Stat(name)
				must(t, err)
				if !os.SameFile(before, after) {
					t.Error("the inode changed")
				}
			})
		}
		wantNames(t, dir, "Commit", "Commit.link", "CommitAndClose", "CommitAndClose.link", "CommitContext", "CommitContext.link")
	})
}

// Without reflinks nothing can be committed in place, and that is said at once.
//
//promise:snapshot.Config.InPlace without reflinks, and with Create, InPlace fails at once
func TestInPlaceUnsupported(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		_, err := inPlace.OpenMut(context.Background(), name)
		wantError(t, err, errors.ErrUnsupported, "open "+name+": in place: ficlone: operation not supported")
	})
	_, err := inPlace.Create(context.Background(), "f")
	wantError(t, err, errors.ErrUnsupported, "create f: a new file cannot be committed in place: unsupported operation")
}

// CheckConflict works in place, too.
//
//promise:snapshot.Config.InPlace CheckConflict works with InPlace
func TestInPlaceConflict(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 10000))
		m, err := snapshot.Config{InPlace: true, CheckConflict: true}.OpenMut(context.Background(), name)
		must(t, err)
		closeLater(t, m)
		clear(m.Bytes())
		must(t, m.Commit())
		must(t, m.Commit())
		write(t, name, noise(2, 10000))
		if err := m.Commit(); !errors.Is(err, snapshot.ErrConflict) {
			t.Error(err)
		}
		wantFile(t, name, noise(2, 10000))
	})
}

// A commit in place that failed after it changed the file is not its own conflict, and may be made
// again.
//
//promise:snapshot.Config.InPlace after ErrNotDurable the commit can be repeated
func TestInPlaceAgain(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 10000))
		m, err := snapshot.Config{InPlace: true, CheckConflict: true}.OpenMut(context.Background(), name)
		must(t, err)
		closeLater(t, m)
		clear(m.Bytes())
		undo := systest.Intercept(t, func(call string) error {
			if call == "fsync" {
				return syscall.EIO
			}
			return nil
		})
		if err := m.Commit(); !errors.Is(err, snapshot.ErrNotDurable) {
			t.Error(err)
		}
		undo()
		must(t, m.Commit())
		wantFile(t, name, make([]byte, 10000))
	})
}

// Whichever call fails in a commit in place: it is told, and the next one works, unless the
// snapshot is broken.
//
//promise:snapshot.Config.InPlace if a system call fails, Commit reports it and can be repeated
func TestInPlaceFailures(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		failEach(t, syscall.ENOSPC, func(arm func(), disarm func() string) {
			write(t, name, noise(1, 10000))
			m, err := inPlace.OpenMut(context.Background(), name)
			must(t, err)
			clear(m.Bytes()[:5000])
			arm()
			err = m.Commit()
			failed := disarm()
			if err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%v: is not ENOSPC", err)
			}
			if err := m.Commit(); (err != nil) != breaks(failed, syscall.ENOSPC, m, false) {
				t.Errorf("the next commit: %v", err)
			} else if err == nil {
				wantFile(t, name, append(make([]byte, 5000), noise(1, 10000)[5000:]...))
			}
			must(t, m.Close())
			wantNames(t, dir, "f")
		})
	})
}

// A file that somebody lengthens between the look at its size and the reflink keeps the tail, and
// that is told.
//
//promise:snapshot.Config.InPlace an append during the commit is kept and reported
func TestInPlaceGrowsMeanwhile(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 8192))
		m, err := inPlace.OpenMut(context.Background(), name)
		must(t, err)
		closeLater(t, m)
		clear(m.Bytes())
		undo := systest.Intercept(t, func(call string) error {
			if call == "ficlone" {
				must(t, os.Truncate(name, 16384))
			}
			return nil
		})
		err = m.Commit()
		undo()
		if !errors.Is(err, snapshot.ErrConflict) || !strings.Contains(err.Error(), "the file has 16384 bytes, not the 8192 committed") {
			t.Error(err)
		}
		wantFile(t, name, make([]byte, 16384))
	})
}

// The lock on the directory is not held while the disk is waited for.
func TestInPlaceLocksBriefly(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		write(t, join(dir, "f"), noise(1, 10000))
		write(t, join(dir, "g"), noise(1, 10000))
		m, err := inPlace.OpenMut(context.Background(), join(dir, "f"))
		must(t, err)
		closeLater(t, m)
		inside := 0
		undo := systest.Intercept(t, func(call string) error {
			if call == "writeback" || call == "fsync" {
				d := openFile(t, dir, os.O_RDONLY)
				must(t, syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
				must(t, d.Close())
				inside++
			}
			return nil
		})
		defer undo()
		must(t, m.Commit())
		if inside != 2 {
			t.Error(inside)
		}
	})
}

// A file that is a mount point cannot be replaced. The error says so at once, and names InPlace
// where that works.
//
//promise:snapshot.Config.OpenMut if the name is a mount point, the error is EBUSY at once
//promise:snapshot.Config.Create if the name is a mount point, the error is EBUSY at once
//promise:snapshot.MmapMut.Commit if the name became a mount point, nothing changes
func TestMountPoint(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		source, name := join(dir, "source"), join(dir, "f")
		data := noise(1, 10000)
		write(t, source, data)
		write(t, name, nil)
		early := openMut(t, name)
		must(t, unix.Mount(source, name, "", unix.MS_BIND, ""))
		defer func() { must(t, unix.Unmount(name, 0)) }()
		wantContents(t, open(t, name), data)
		_, err := snapshot.OpenMut(name)
		_, createErr := snapshot.Create(name)
		for i, err := range []error{err, createErr, early.CommitTo(name)} {
			if !errors.Is(err, syscall.EBUSY) ||
				!strings.Contains(err.Error(), "the name is a mount point") ||
				strings.Contains(err.Error(), "InPlace") != (i == 0 && reflinks(dir)) {
				t.Error(err)
			}
		}
		if err := early.Commit(); err == nil {
			t.Error("a mount point was replaced")
		}
		wantFile(t, name, data)
		wantNames(t, dir, "f", "source")
		if !reflinks(dir) {
			return
		}
		m, err := inPlace.OpenMut(context.Background(), name)
		must(t, err)
		clear(m.Bytes()[:10])
		clear(data[:10])
		must(t, m.CommitAndClose())
		wantFile(t, source, data)
	})
}

// On overlayfs a file of the lower layer is copied up by the commit, and the lower one stays.
//
//promise:snapshot.MmapMut.Commit on overlayfs the file of the lower layer is unchanged
func TestOverlay(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		for _, way := range ways {
			t.Run(way.name, func(t *testing.T) {
				mounttest.Leaks(t)
				dir := join(dir, way.name)
				for _, d := range []string{"", "lower", "upper", "work", "merged"} {
					must(t, os.Mkdir(join(dir, d), 0o755))
				}
				data := noise(1, 10000)
				write(t, join(dir, "lower/f"), data)
				must(t, unix.Mount("overlay", join(dir, "merged"), "overlay", 0,
					"lowerdir="+join(dir, "lower")+",upperdir="+join(dir, "upper")+",workdir="+join(dir, "work")))
				t.Cleanup(func() { must(t, unix.Unmount(join(dir, "merged"), 0)) })
				name := join(dir, "merged/f")
				must(t, os.Chmod(name, 0o640)) // copies it up
				for range 2 {
					r, m := open(t, name), openMut(t, name)
					wantContents(t, r, data)
					clear(m.Bytes()[:10])
					must(t, way.do(m))
					wantContents(t, r, data)
					clear(data[:10])
					wantFile(t, name, data)
					wantMode(t, name, 0o640)
					_ = m.Close()
					must(t, r.Close())
				}
				wantFile(t, join(dir, "lower/f"), noise(1, 10000))
				wantNames(t, join(dir, "merged"), "f")
				wantNames(t, join(dir, "upper"), "f")
			})
		}
	})
}
