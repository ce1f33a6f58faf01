package snapshot_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// An active swap file, which the kernel neither clones nor copies (ETXTBSY), can be read.
//
//promise:snapshot.Config.Open an active swap file is read, as with os.ReadFile
func TestSwapFile(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	mounttest.EachOf(t, mounttest.Disk|mounttest.Private, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "swap")
		swapOn(t, name)
		page := os.Getpagesize()
		f := openFile(t, name, os.O_RDONLY)
		want := make([]byte, page) // the header; the kernel may use the others
		_, err := f.ReadAt(want, 0)
		must(t, err)
		for _, m := range []*snapshot.Mmap{open(t, name), fromFile(t, f)} {
			got := make([]byte, page)
			_, err := m.ReadAt(got, 0)
			must(t, err)
			wantBytes(t, "header", got, want)
			if m.Size() != 256*int64(page) || m.Method() == snapshot.Reflink {
				t.Errorf("%d bytes, %v", m.Size(), m.Method())
			}
			must(t, m.Close())
		}
		_, err = snapshot.Config{NoCopy: true}.Open(context.Background(), name)
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("NoCopy: %v", err)
		}
	})
}

// swapOn makes a file of 256 pages a swap file until the test ends.
func swapOn(t *testing.T, name string) {
	t.Helper()
	page := os.Getpagesize()
	write(t, name, nil)
	must(t, os.Chmod(name, 0o600))
	f := openFile(t, name, os.O_RDWR)
	if mounttest.Has(name, mounttest.NoCOW) { // swapon(8) needs it there
		must(t, syscalls.SetNoCOW(int(f.Fd()), true))
	}
	image := make([]byte, 256*page)
	binary.NativeEndian.PutUint32(image[1024:], 1)   // version
	binary.NativeEndian.PutUint32(image[1028:], 255) // the last page
	copy(image[page-10:], "SWAPSPACE2")
	_, err := f.WriteAt(image, 0)
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
	path, err := unix.BytePtrFromString(name)
	must(t, err)
	if _, _, errno := unix.Syscall(unix.SYS_SWAPON, uintptr(unsafe.Pointer(path)), 0, 0); errno != 0 {
		t.Skipf("swapon: %v", errno)
	}
	t.Cleanup(func() {
		_, _, errno := unix.Syscall(unix.SYS_SWAPOFF, uintptr(unsafe.Pointer(path)), 0, 0)
		if errno != 0 {
			t.Errorf("swapoff: %v", errno)
		}
	})
}

// A file that is immutable or append-only, and a file in a directory that is, can be read.
//
//promise:snapshot.Config.Open an immutable file is read, and a file in an immutable directory
func TestReadImmutable(t *testing.T) {
	mounttest.Need(t, "CAP_LINUX_IMMUTABLE")
	mounttest.EachOf(t, mounttest.Disk, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, data := join(dir, "f"), noise(1, 200_000)
		write(t, name, data)
		for _, of := range []string{name, dir} {
			// The flags have the numbers of FS_IMMUTABLE_FL and FS_APPEND_FL.
			for _, flag := range []uint32{unix.STATX_ATTR_IMMUTABLE, unix.STATX_ATTR_APPEND} {
				flags, set, err := flagsOf(of)
				must(t, err)
				must(t, set(flags|flag))
				m, err := snapshot.Open(name)
				must(t, set(flags))
				must(t, err)
				wantContents(t, m, data)
				must(t, m.Close())
			}
		}
	})
}

// A file that is mounted by itself into a directory of another filesystem is cloned if TempDir lies
// on its own: with NoCopy and InPlace, too.
//
//promise:snapshot.Config.TempDir a file mounted by itself is cloned to a TempDir on its filesystem
//promise:snapshot.Config.NoCopy a file mounted by itself is cloned to a TempDir on its filesystem
//promise:snapshot.Config.InPlace a file mounted by itself is changed in place
func TestMountedFile(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		for _, property := range []mounttest.Property{copying, mounttest.Reflinks} {
			mounttest.EachOf(t, property, func(t *testing.T, other string) {
				mounttest.Leaks(t)
				data := noise(1, 200_000)
				temp, name := join(dir, "tmp"), join(other, "f")
				must(t, os.MkdirAll(temp, 0o755))
				write(t, join(dir, "f"), data)
				write(t, name, nil)
				must(t, unix.Mount(join(dir, "f"), name, "", unix.MS_BIND, ""))
				defer func() { must(t, unix.Unmount(name, 0)) }()
				for _, c := range []snapshot.Config{
					{TempDir: temp}, {TempDir: temp, NoCopy: true}, {TempDir: temp, RequireConsistent: true},
				} {
					m, err := c.Open(context.Background(), name)
					must(t, err)
					if m.Method() != snapshot.Reflink {
						t.Errorf("%+v: %v", c, m.Method())
					}
					wantContents(t, m, data)
					must(t, m.Close())
				}
				m := open(t, name) // TempDir is elsewhere
				wantContents(t, m, data)
				must(t, m.Close())
				w, err := snapshot.Config{TempDir: temp, InPlace: true}.OpenMut(context.Background(), name)
				must(t, err)
				_, err = w.WriteAt([]byte("in place"), 100)
				must(t, err)
				must(t, w.CommitAndClose())
				copy(data[100:], "in place")
				wantFile(t, join(dir, "f"), data)
				wantNames(t, temp)
			})
		}
	})
}

// On btrfs, files that have no checksums for another reason than the attribute are cloned, too: as
// they were made while the filesystem was mounted with nodatasum, or the copy is.
//
//promise:snapshot.Config.NoCopy on btrfs a file made under nodatasum is cloned as well
func TestNoDataSum(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	mounttest.EachKind(t, mounttest.NoCOW, func(t *testing.T, kind *mounttest.Kind) {
		mounttest.Leaks(t)
		dir, data := kind.Fresh(t, 0), noise(1, 200_000)
		remount := func(options string) {
			t.Helper()
			must(t, unix.Mount("", dir, "", unix.MS_REMOUNT, options))
		}
		write(t, join(dir, "with"), data)
		remount("nodatasum")
		write(t, join(dir, "without"), data)
		for _, option := range []string{"nodatasum", "datasum"} {
			remount(option)
			for _, name := range []string{"with", "without"} {
				m, err := snapshot.Config{NoCopy: true}.Open(context.Background(), join(dir, name))
				if err != nil {
					t.Errorf("%s checksums, mounted with %s: %v", name, option, err)
					continue
				}
				wantContents(t, m, data)
				must(t, m.Close())
				w, err := snapshot.Config{NoCopy: true}.OpenMut(context.Background(), join(dir, name))
				must(t, err)
				must(t, w.Commit())
				must(t, w.Close())
			}
		}
	})
}
