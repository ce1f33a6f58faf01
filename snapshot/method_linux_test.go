package snapshot_test

import (
	"context"
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// On filesystems with reflinks nothing is copied, whatever the size: the clone shares the
// storage. Elsewhere the data are copied, and Method says so.
//
//promise:snapshot.Config.Open on XFS and btrfs the copy is a reflink and takes no disk space
//promise:snapshot.Mmap.Method Method reports Reflink for a clone, another value for copied data
//promise:snapshot.MmapMut.Method Method reports Reflink for a clone, another value for copied data
//promise:snapshot.Method the value says whether the private copy is a reflink or a copy of the data
func TestMethod(t *testing.T) {
	const size = 64 << 20
	mounttest.EachOf(t, mounttest.Private, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, size))
		must(t, syncFile(name))
		copies := !reflinks(dir)
		for kind, open := range map[string]func() reader{
			"Open":     func() reader { return open(t, name) },
			"OpenMut":  func() reader { return openMut(t, name) },
			"FromFile": func() reader { return fromFile(t, openFile(t, name, os.O_RDONLY)) },
		} {
			want := snapshot.LeasedCopy
			switch {
			case !copies:
				want = snapshot.Reflink
			case kind == "FromFile":
				want = snapshot.ComparedCopy
			}
			used := usedBytes(t, dir)
			calls := systest.CountCalls(t)
			m := open()
			if m.Method() != want {
				t.Errorf("%s: %v, want %v", kind, m.Method(), want)
			}
			if copied := calls("copy_file_range")+calls("pread") > 0; copied != copies {
				t.Errorf("%s: copied: %v", kind, copied)
			}
			must(t, syncFile(name))
			if grown := usedBytes(t, dir) - used; (grown > size/2) != copies {
				t.Errorf("%s: %d bytes more are used", kind, grown)
			}
			must(t, m.Close())
		}
	})
}

// Opening a gigabyte takes the same system calls as opening a page.
//
//promise:snapshot.Config.Open opening by reflink makes the same system calls for a file of any size
func TestOpenIsFlat(t *testing.T) {
	privateFiles(t)
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		var made []string
		large := int64(1 << 30)
		if math.MaxInt == math.MaxInt32 {
			large = 32 << 20 // opening a larger one asks how many addresses there are
		}
		for _, size := range []int64{4 << 10, large} {
			name := join(dir, strconv.FormatInt(size, 10))
			f, err := os.Create(name)
			must(t, err)
			defer f.Close()
			must(t, syscall.Fallocate(int(f.Fd()), 0, 0, size))
			must(t, syncFile(name))
			var list []string
			undo := systest.Intercept(t, func(call string) error { list = append(list, call); return nil })
			m := open(t, name)
			must(t, m.Close())
			undo()
			made = append(made, strings.Join(list, " "))
		}
		if made[0] != made[1] {
			t.Errorf("a page: %s\n%d bytes: %s", made[0], large, made[1])
		}
	})
}

//promise:snapshot.Method.String each Method has a text, and values out of range do too
func TestMethodString(t *testing.T) {
	for m, want := range map[snapshot.Method]string{
		snapshot.None: "none", snapshot.Reflink: "reflink", snapshot.LeasedCopy: "leased copy", snapshot.ComparedCopy: "compared copy",
		99: "Method(99)",
	} {
		if m.String() != want {
			t.Errorf("%v, want %v", m, want)
		}
	}
}

// NoCopy opens by reflink or not at all.
//
//promise:snapshot.Config.NoCopy Open makes a reflink or fails
//promise:snapshot.Config.NoCopy CommitAndClose works without reflinks
func TestNoCopy(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 10000))
		c := snapshot.Config{NoCopy: true}
		r, err := c.Open(context.Background(), name)
		if reflinks(dir) {
			must(t, err)
			must(t, r.Close())
		} else {
			want := "open " + name + ": ficlone: " + ficloneErrno(t, dir).Error()
			wantError(t, err, errors.ErrUnsupported, want)
			_, err = c.OpenMut(context.Background(), name)
			wantError(t, err, errors.ErrUnsupported, want)
		}
		m, err := c.Create(context.Background(), name+"2")
		must(t, err)
		must(t, m.Resize(10))
		if err := m.Commit(); errors.Is(err, errors.ErrUnsupported) == reflinks(dir) {
			t.Error(err)
		}
		must(t, m.CommitAndClose()) // nothing has to be copied for that
		wantFile(t, name+"2", make([]byte, 10))
	})
}
