package snapshot_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

const unknownSize = ": file does not report its size: unsupported operation"

// Each regular file below /proc/self and /sys that an ordinary user finds is opened with the bytes
// that os.ReadFile reads, or is refused: as unsupported, or for the reason that os.ReadFile has. It
// takes a bounded number of calls and no second attempt.
//
//promise:snapshot.Config.Open files of procfs and sysfs are read right, or refused at once
func TestProcAndSys(t *testing.T) {
	mounttest.AsUser(t, func(t *testing.T) {
		mounttest.Leaks(t)
		every := mounttest.Count(60, 8, 1)
		n, outcomes := 0, map[string]int{}
		for _, top := range []string{"/proc/self/", "/sys"} {
			err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
				switch {
				case err != nil: // gone, or not for this user
					return nil //nolint:nilerr // other files are
				case name == "/sys/kernel/debug" || name == "/sys/kernel/tracing":
					return fs.SkipDir
				case !d.Type().IsRegular():
					return nil
				}
				if n++; top == "/sys" && n%every != 0 {
					return nil
				}
				outcomes[openGenerated(t, name)]++
				return nil
			})
			must(t, err)
		}
		t.Logf("%d files were found: %v", n, outcomes)
		if outcomes["unsupported"] == 0 {
			t.Error("no file was refused because of its size")
		}
	})
}

// openGenerated opens a file and returns what came of it.
func openGenerated(t *testing.T, name string) string {
	t.Helper()
	calls, pauses := 0, 0
	undo := systest.Intercept(t, func(string) error { calls++; return nil })
	after := retry.After
	retry.After = func(d time.Duration) <-chan time.Time { pauses++; return after(d) }
	m, err := snapshot.Open(name)
	undo()
	retry.After = after
	// Each chunk of a large file takes some calls.
	if fi, statErr := os.Stat(name); statErr == nil && calls > 60+int(fi.Size()>>14) || pauses > 0 {
		t.Errorf("%s: %d calls, %d pauses: %v", name, calls, pauses, err)
	}
	if err == nil {
		defer m.Close()
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return "unsupported"
	case errors.Is(err, fs.ErrPermission):
		return "no permission"
	}
	want, wantErr := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.Is(wantErr, fs.ErrNotExist):
		return "gone"
	case err != nil:
		var errno syscall.Errno
		if !errors.As(wantErr, &errno) || !errors.Is(err, errno) {
			t.Errorf("%v; os.ReadFile: %v", err, wantErr)
		}
		return "same error"
	}
	if wantErr != nil {
		t.Errorf("%s: opened; os.ReadFile: %v", name, wantErr)
		return ""
	}
	got := make([]byte, m.Size())
	if _, err := m.ReadAt(got, 0); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes; os.ReadFile: %d other bytes", name, len(got), len(want))
	}
	return "opened"
}

// A file of size 0 on a filesystem whose files the kernel generates is refused before it is opened,
// or, if it is open, before it is read: to read the kernel's log takes what is read away.
//
//promise:snapshot.Config.Open no byte is read from /proc/kmsg, and it is not opened
//promise:snapshot.Config.FromFile no byte is read from a file of size 0 on procfs
func TestGeneratedFilesAreNotRead(t *testing.T) {
	mounttest.Leaks(t)
	for _, name := range []string{
		"/proc/self/status", "/proc/self/mem", "/proc/self/pagemap", "/proc/kpagecount", "/proc/kmsg",
	} {
		fi, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a container may hide it
		}
		must(t, err)
		if !fi.Mode().IsRegular() {
			continue // or mount /dev/null over it
		}
		path, err := os.OpenFile(name, syscalls.OPath, 0)
		must(t, err)
		defer path.Close()
		calls := systest.CountCalls(t)
		for what, open := range map[string]func() error{
			"Open":     func() error { _, err := snapshot.Open(name); return err },
			"FromFile": func() error { _, err := snapshot.FromFile(path); return err },
			"OpenMut":  func() error { _, err := snapshot.OpenMut(name); return err },
		} {
			err := open()
			wantError(t, err, errors.ErrUnsupported, "open "+name+unknownSize)
			if n := calls("reopen") + calls("openread") + calls("pread"); n > 0 {
				t.Errorf("%s: %s: %d calls open or read the file", what, name, n)
			}
		}
		if f, err := os.Open(name); err == nil { // CAP_SYSLOG
			_, err = snapshot.FromFile(f)
			wantError(t, err, errors.ErrUnsupported, "open "+name+unknownSize)
			if n := calls("pread"); n > 0 {
				t.Errorf("%s: %d reads", name, n)
			}
			must(t, f.Close())
		}
	}
}

// A file of a control group is no empty file, and a file of tracefs that waits is not read.
//
//promise:snapshot.Config.Open a file of cgroup or tracefs with size 0 is ErrUnsupported
func TestCgroupAndTracefs(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	for kind, file := range map[string]string{"cgroup2": "cgroup.procs", "tracefs": "trace_pipe"} {
		t.Run(kind, func(t *testing.T) {
			mounttest.Leaks(t)
			name := join(mounted(t, kind, kind, ""), file)
			calls := systest.CountCalls(t)
			_, err := snapshot.Open(name)
			wantError(t, err, errors.ErrUnsupported, "open "+name+unknownSize)
			if n := calls("reopen") + calls("pread"); n > 0 {
				t.Errorf("%d calls open or read the file", n)
			}
		})
	}
}

// A file that holds less or more than its size says, and does not change, is refused at the first
// attempt; an empty one that cannot be read is the error of reading. A server of FUSE can have such
// files (direct_io).
//
//promise:snapshot.Config.Open a file with another size than it reports is ErrUnsupported at once
//promise:snapshot.Config.Open an error of the first read of a file of size 0 is the error
func TestMisreportedSize(t *testing.T) { smallAndPrivate(t, misreportedSize) }

func misreportedSize(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100_000))
		// Under a lease a small file is read by its size, which is right where leases are taken.
		refuse := func(call string) error {
			if call == "setlease" && privatefile.SmallSize > 0 {
				return syscall.EINVAL
			}
			return nil
		}
		systest.Intercept(t, refuse)
		for _, size := range []int64{0, 1, 99_999, 100_001, 130_000} {
			undo := pretendSize(t, name, size)
			pauses, after := 0, retry.After
			retry.After = func(d time.Duration) <-chan time.Time { pauses++; return after(d) }
			_, err := snapshot.Open(name)
			retry.After = after
			undo()
			wantError(t, err, errors.ErrUnsupported, "open "+name+unknownSize)
			if pauses > 0 {
				t.Errorf("size %d: %d pauses", size, pauses)
			}
		}
		must(t, os.Truncate(name, 0))
		systest.Intercept(t, func(call string) error {
			if call == "pread" {
				return syscall.EIO
			}
			return refuse(call)
		})
		_, err := snapshot.Open(name)
		wantError(t, err, syscall.EIO, "open "+name+": input/output error")
	})
}

// pretendSize lets the file name seem to have another size, and its filesystem know no holes, until
// undo is called.
func pretendSize(t *testing.T, name string, size int64) (undo func()) {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat(name, &st))
	fstat, ask, seek := sys.Fstat, sys.FstatSync, sys.SeekData
	change := func(real func(int) (syscalls.Stat, error)) func(int) (syscalls.Stat, error) {
		return func(fd int) (syscalls.Stat, error) {
			got, err := real(fd)
			if got.Ino == st.Ino {
				got.Size = size
			}
			return got, err
		}
	}
	sys.Fstat, sys.FstatSync = change(fstat), change(ask)
	sys.SeekData = func(int, int64) (int64, error) { return 0, errors.ErrUnsupported }
	return func() { sys.Fstat, sys.FstatSync, sys.SeekData = fstat, ask, seek }
}
