package mounttest_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// tried is how to find out by doing whether the filesystem of a directory has a property.
var tried = map[mounttest.Property]func(t *testing.T, dir string) bool{
	mounttest.Reflinks: func(t *testing.T, dir string) bool {
		from, to := create(t, dir, "from"), create(t, dir, "to")
		return unix.IoctlFileClone(int(to.Fd()), int(from.Fd())) == nil
	},
	mounttest.Leases: func(t *testing.T, dir string) bool {
		w := create(t, dir, "leased")
		r, err := os.Open(w.Name())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		lease := func() error {
			_, err := unix.FcntlInt(r.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
			return err
		}
		beside := lease()
		w.Close()
		return beside == unix.EAGAIN && lease() == nil
	},
	mounttest.Disk: func(t *testing.T, dir string) bool {
		f, resident := create(t, dir, "cached"), make([]byte, 1)
		if _, err := f.Write(make([]byte, os.Getpagesize())); err != nil {
			t.Fatal(err)
		}
		mem, err := syscalls.Mmap(int(f.Fd()), os.Getpagesize(), false)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscalls.Munmap(mem) }()
		tries := 300
		if testing.Short() && !mounttest.Has(dir, mounttest.Disk) {
			tries = 30 // all of them fail, unless the table is wrong
		}
		for i := range tries {
			if err := errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED),
				syscalls.Mincore(mem, resident)); err != nil {
				t.Fatal(err)
			}
			if resident[0]&1 == 0 {
				return true
			}
			// The kernel holds new pages a moment longer.
			time.Sleep(time.Duration(min(i, 10)) * time.Millisecond)
		}
		return false
	},
	mounttest.NoCOW: func(t *testing.T, dir string) bool {
		const noCow = 0x00800000 // FS_NOCOW_FL of linux/fs.h
		f := create(t, dir, "nocow")
		_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, noCow)
		flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
		return err == nil && flags&noCow != 0
	},
	mounttest.LargeBlocks: func(t *testing.T, dir string) bool {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		return st.Bsize > 4096
	},
	mounttest.WholeSeconds: func(t *testing.T, dir string) bool {
		now := time.Now().Truncate(time.Second).Add(time.Second / 2)
		name := create(t, dir, "dated").Name()
		if err := os.Chtimes(name, now, now); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(name)
		return err == nil && fi.ModTime().Nanosecond() == 0
	},
}

// Each kind has the properties that the table says, as a large filesystem and as a small one.
//
//promise:mounttest.Property each kind has exactly the properties of its row
//promise:mounttest.Kind.Has each kind has exactly the properties of its row
//promise:mounttest.Kind.Dir the directory lies on a filesystem of the kind
//promise:mounttest.Kind each kind of the table can be made and has its properties
func TestProperties(t *testing.T) {
	check := func(t *testing.T, dir string, kind *mounttest.Kind) {
		t.Helper()
		for p, try := range tried {
			if got, want := try(t, dir), kind.Has(p); got != want || mounttest.Has(dir, p) != want {
				t.Errorf("%s: %v: %v by trying, %v in the table, %v by Has",
					kind, p, got, want, mounttest.Has(dir, p))
			}
		}
		if !mounttest.Has(dir, mounttest.Known|mounttest.Private) || mounttest.Has(dir, mounttest.Host) {
			t.Errorf("%s is not known, or the machine's own", kind)
		}
	}
	for _, kind := range mounttest.Kinds(mounttest.Known) {
		t.Run(kind.String(), func(t *testing.T) {
			check(t, kind.Dir(t), kind)
			check(t, kind.Fresh(t, 0), kind)
		})
	}
	for _, p := range []mounttest.Property{
		mounttest.WholeSeconds, mounttest.ReflinksOff, mounttest.LargeBlocks,
	} {
		for _, kind := range mounttest.Kinds(p) {
			t.Run(p.String(), func(t *testing.T) { check(t, kind.Fresh(t, 0), kind) })
		}
	}
}

// A kernel that mounts no large blocks is a reason to skip, even if the filesystem is required.
func TestLargeBlocksOnAnOldKernel(t *testing.T) {
	t.Setenv("MOUNTTEST_REQUIRE", "xfs")
	kind := mounttest.Kinds(mounttest.LargeBlocks)[0]
	kind.Fresh(t, 0)
	tb := &fakeTB{TB: t, panics: true}
	mounttest.OnThread(t, func() error {
		defer func() { _ = recover() }()
		if err := mounttest.Refuse(unix.SYS_MOUNT, unix.ENOSYS); err != nil {
			return err
		}
		kind.Fresh(tb, 0)
		return nil
	})
	if strings.Contains(tb.failed, "bad system call") {
		t.Skip("mkfs.xfs is a program of another architecture, which the filter kills")
	}
	want := "xfs of large blocks: the kernel mounts no blocks"
	if !strings.HasPrefix(tb.skipped, want) {
		t.Errorf("skipped with %q, want %q; failed with %q", tb.skipped, want, tb.failed)
	}
}

// Of the machine's own filesystem is said what can be found out.
//
//promise:mounttest.Has Has finds out the properties of the machine's own filesystem
//promise:mounttest.Has a filesystem outside the table has no property
func TestPropertiesOfHost(t *testing.T) {
	dir := mounttest.Dir(t, mounttest.Host)
	if !mounttest.Has(dir, mounttest.Host) || mounttest.Has(dir, mounttest.Private) {
		t.Error("it is not the machine's own")
	}
	reflinks := tried[mounttest.Reflinks](t, dir)
	if mounttest.Has(dir, mounttest.Reflinks) != reflinks ||
		mounttest.Has(dir, mounttest.NoReflinks) == reflinks {
		t.Errorf("reflinks: %v", reflinks)
	}
	known := mounttest.KindOf(dir) != nil
	if mounttest.Has(dir, mounttest.Known) != known || mounttest.Has(dir, mounttest.Leases) != known {
		t.Errorf("known: %v", known)
	}
	// Nothing is known of a filesystem that is not in the table.
	for _, p := range []mounttest.Property{
		mounttest.Known, mounttest.Host, mounttest.Leases, mounttest.Reflinks, mounttest.Disk, mounttest.Memory,
	} {
		if mounttest.Has("/proc", p) {
			t.Errorf("/proc has %v", p)
		}
	}
}

// Dir and Fresh take what has the properties, and EachOf runs on all that do.
//
//promise:mounttest.Dir the directory lies on a filesystem with the properties
//promise:mounttest.Fresh the filesystem has the properties
//promise:mounttest.EachOf EachOf runs on each filesystem with the properties
func TestDirHasProperties(t *testing.T) {
	for _, p := range []mounttest.Property{
		mounttest.Reflinks, mounttest.NoReflinks, mounttest.Memory, mounttest.Disk | mounttest.NoReflinks,
		mounttest.NoCOW,
	} {
		t.Run(p.String(), func(t *testing.T) {
			ran := 0
			mounttest.EachOf(t, p, func(t *testing.T, dir string) {
				ran++
				if !mounttest.Has(dir, p) {
					t.Errorf("%s has not", dir)
				}
			})
			if dir := mounttest.Dir(t, p); !mounttest.Has(dir, p) {
				t.Errorf("%s has not", dir)
			}
			if ran == 0 {
				t.Error("Dir has a filesystem, EachOf has none")
			}
			if dir := mounttest.Fresh(t, p, 0); !mounttest.Has(dir, p) {
				t.Errorf("%s has not", dir)
			}
		})
	}
	impossible := mounttest.Memory | mounttest.Disk
	fake(t, func(tb testing.TB) { mounttest.Dir(tb, impossible) }).
		wantFailure(t, "no filesystem has Disk, no Disk")
	host := fake(t, func(tb testing.TB) { mounttest.Dir(tb, mounttest.Host|impossible) })
	if !strings.Contains(host.skipped, "has not Host, Disk, no Disk") {
		t.Errorf("skipped with %q, failed with %q", host.skipped, host.failed)
	}
	fake(t, func(tb testing.TB) { mounttest.Fresh(tb, impossible, 0) }).
		wantFailure(t, "no kind of filesystem has")
}

// A kind makes its filesystem in a file that the test mounts.
//
//promise:mounttest.Kind.Mkfs Mkfs makes a filesystem in a file
func TestMkfs(t *testing.T) {
	for _, kind := range mounttest.Kinds(mounttest.Disk) {
		t.Run(kind.String(), func(t *testing.T) {
			f := create(t, mounttest.Dir(t, mounttest.Host), "image")
			if err := f.Truncate(kind.Smallest()); err != nil {
				t.Fatal(err)
			}
			kind.Mkfs(t, f.Name())
			if fi, err := f.Stat(); err != nil || fi.Size() != kind.Smallest() {
				t.Errorf("%v, %v", fi, err)
			}
			begin := make([]byte, 128<<10) // has the superblock of each
			if _, err := f.ReadAt(begin, 0); err != nil || len(bytes.Trim(begin, "\x00")) == 0 {
				t.Errorf("nothing was written; %v", err)
			}
		})
	}
	if !mounttest.Can("CAP_SYS_ADMIN") {
		t.Skip("no CAP_SYS_ADMIN")
	}
	fake(t, func(tb testing.TB) {
		mounttest.Kinds(mounttest.Disk)[0].Mkfs(tb, filepath.Join(t.TempDir(), "none"))
	}).wantFailure(t, "no such file")
}
