//go:build linux

package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// ways is every way to make the contents of a MmapMut those of its own file.
var ways = []struct {
	name string
	do   func(m *snapshot.MmapMut) error
}{
	{"Commit", (*snapshot.MmapMut).Commit},
	{"CommitContext", func(m *snapshot.MmapMut) error { return m.CommitContext(context.Background()) }},
	{"CommitAndClose", (*snapshot.MmapMut).CommitAndClose},
	{"CommitTo", func(m *snapshot.MmapMut) error { return m.CommitTo(m.Name()) }},
	{"CommitNamed", func(m *snapshot.MmapMut) error { // by a temporary name from the start
		defer snapshot.NoTmpfile()()
		return m.Commit()
	}},
}

// eachWay runs f on every filesystem for every way to commit.
func eachWay(t *testing.T, f func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error)) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		for _, way := range ways {
			t.Run(way.name, func(t *testing.T) {
				mounttest.Leaks(t)
				dir := join(dir, way.name)
				must(t, os.Mkdir(dir, 0o755))
				f(t, dir, way.do)
			})
		}
	})
}

// The file is exactly the new contents, whatever its length was, and no other name is left.
func TestCommitLengths(t *testing.T) {
	old := noise(1, 12288)
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		name := join(dir, "f")
		for _, n := range []int{0, 1, 4095, 4096, 8192, 12288, 12289, 1 << 20} {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				write(t, name, old)
				m := openMut(t, name)
				must(t, m.Resize(int64(n)))
				want := append([]byte(nil), old[:min(n, len(old))]...)
				want = append(want, make([]byte, n-len(want))...) // grown by zeros
				wantContents(t, m, want)
				if n > 0 {
					want[n-1] = 'x'
					_, err := m.WriteAt([]byte{'x'}, int64(n-1))
					must(t, err)
				}
				opened := openFile(t, name, os.O_RDONLY)
				must(t, commit(m))
				wantFile(t, name, want)
				wantNames(t, dir, "f")
				before := make([]byte, len(old))
				if _, err := opened.ReadAt(before, 0); err != nil {
					t.Error(err)
				}
				wantBytes(t, "a descriptor opened before", before, old)
			})
		}
	})
}

// A MmapMut goes on after Commit, and each commit holds what was stored before it.
func TestCommitAgain(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		m := openMut(t, name)
		for i := range mounttest.Count(20, 50, 1000) {
			want := noise(uint64(i), i*1000)
			must(t, m.Resize(int64(len(want))))
			_, err := m.WriteAt(want, 0)
			must(t, err)
			must(t, m.Commit())
			wantFile(t, name, want)
		}
		wantNames(t, dir, "f")
	})
}

func TestCreate(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		defer syscall.Umask(syscall.Umask(0o027))
		name := join(dir, "f")
		m := create(t, name)
		wantContents(t, m, nil)
		if m.Method() != snapshot.None {
			t.Error(m.Method())
		}
		must(t, m.Resize(5000))
		wantNames(t, dir)
		must(t, commit(m))
		wantFile(t, name, make([]byte, 5000))
		wantMode(t, name, 0o640) // 0666 less the umask
		wantNames(t, dir, "f")

		m, err := snapshot.Config{Perm: 0o751 | fs.ModeSetuid}.Create(context.Background(), name+"2")
		must(t, err)
		closeLater(t, m)
		must(t, m.Resize(1))
		must(t, m.CommitAndClose())
		wantMode(t, name+"2", 0o750|fs.ModeSetuid)
	})
}

// Create replaces the contents of a file that is there, with the first commit, and keeps what
// else it has.
func TestCreateOverExisting(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		name := join(dir, "f")
		write(t, name, noise(1, 10000))
		must(t, os.Chmod(name, 0o604))
		m := create(t, name)
		must(t, m.Resize(3))
		wantFile(t, name, noise(1, 10000))
		must(t, commit(m))
		wantFile(t, name, make([]byte, 3))
		wantMode(t, name, 0o604)
		wantNames(t, dir, "f")
	})
}

func wantMode(t testing.TB, name string, want fs.FileMode) {
	t.Helper()
	fi, err := os.Stat(name)
	must(t, err)
	if fi.Mode() != want {
		t.Errorf("mode of %s is %v, want %v", name, fi.Mode(), want)
	}
}

// Nothing is committed twice or after the end.
func TestCommitAfterClose(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		m := openMut(t, name)
		must(t, m.Resize(50))
		must(t, m.Close())
		if err := commit(m); !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
		wantFile(t, name, noise(1, 100))
		wantNames(t, dir, "f")
	})
}

// CommitAndClose takes the memory away: neither an old slice nor anything else can change the
// file that was published.
func TestCommitAndCloseEndsStores(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 10000)
		write(t, name, data)
		m := openMut(t, name)
		b := m.Bytes()
		b[0]++
		data[0]++
		undo := snapshot.Intercept(t, func(call string) error {
			if call == "fsync" { // from before the data are written to the disk
				wantFault(t, func() { b[1]++ })
				for op, f := range map[string]func() error{
					"write":  func() error { _, err := m.WriteAt([]byte{1}, 2); return err },
					"read":   func() error { _, err := m.ReadAt(make([]byte, 1), 2); return err },
					"view":   func() error { return m.View(0, 1, func([]byte) error { return nil }) },
					"resize": func() error { return m.Resize(1) },
				} {
					wantError(t, f(), fs.ErrClosed, op+" "+name+": file already closed")
				}
			}
			return nil
		})
		must(t, m.CommitAndClose())
		undo()
		wantFault(t, func() { b[1]++ })
		wantFault(t, func() { _ = append([]byte(nil), b...) })
		if _, err := m.WriteAt([]byte{1}, 2); !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
		wantError(t, m.Close(), fs.ErrClosed, "close "+name+": file already closed")
		wantFile(t, name, data)
	})
}

// The private file itself becomes the file.
func TestCommitAndCloseCopiesNothing(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 10000))
		m := openMut(t, name)
		calls := snapshot.CountCalls(t)
		must(t, m.CommitAndClose())
		for _, call := range []string{"ficlone", "copy_file_range", "pread"} {
			if n := calls(call); n > 0 {
				t.Errorf("%d calls of %s", n, call)
			}
		}
		if calls("linkat") != 1 {
			t.Error("not linked")
		}
	})
}

// While a View runs, the private file cannot be published, so a clone is.
func TestCommitAndCloseInsideView(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 10000)
		write(t, name, data)
		m := openMut(t, name)
		must(t, m.View(0, -1, func(b []byte) error {
			b[0]++
			must(t, m.CommitAndClose())
			b[1]++ // too late, and harmless
			return nil
		}))
		data[0]++
		wantFile(t, name, data)
		wantNames(t, dir, "f")
	})
}

// A context that ends before the new contents are published leaves everything as it was.
func TestCommitContext(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		m := openMut(t, name)
		must(t, m.Resize(10))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		wantError(t, m.CommitContext(ctx), context.Canceled, "commit "+name+": context canceled")
		wantFile(t, name, noise(1, 100))
		wantNames(t, dir, "f")
		must(t, m.Commit())
		wantFile(t, name, noise(1, 100)[:10])
	})
}

func TestLink(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 10000)
		write(t, name, data)
		must(t, os.Chmod(name, 0o600))
		m := openMut(t, name)
		clear(m.Bytes()[:10])
		must(t, m.Link(join(dir, "g")))
		wantFile(t, name, data)
		clear(data[:10])
		wantFile(t, join(dir, "g"), data)
		wantMode(t, join(dir, "g"), 0o600)
		must(t, os.Symlink("nowhere", join(dir, "h")))
		for _, taken := range []string{"f", "g", "h"} {
			err := m.Link(join(dir, taken))
			var linkErr *os.LinkError
			if !errors.Is(err, fs.ErrExist) || !errors.As(err, &linkErr) {
				t.Errorf("%s: %v", taken, err)
			}
		}
		clear(m.Bytes()) // the copy is on its own
		wantFile(t, join(dir, "g"), data)
		wantNames(t, dir, "f", "g", "h")
	})
}

// CommitTo writes elsewhere, with the attributes of what is there or else of the snapshot's
// file, and the snapshot stays bound to its own name.
func TestCommitTo(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, other, fresh := join(dir, "f"), join(dir, "other"), join(dir, "new")
		write(t, name, noise(1, 100))
		must(t, os.Chmod(name, 0o640))
		write(t, other, noise(2, 50))
		must(t, os.Chmod(other, 0o606))
		m := openMut(t, name)
		must(t, m.Resize(10))
		must(t, m.CommitTo(other))
		must(t, m.CommitTo(fresh))
		want := noise(1, 100)[:10]
		wantFile(t, other, want)
		wantMode(t, other, 0o606)
		wantFile(t, fresh, want)
		wantMode(t, fresh, 0o640)
		wantFile(t, name, noise(1, 100))
		must(t, m.Commit())
		wantFile(t, name, want)
		wantNames(t, dir, "f", "new", "other")
		if m.Name() != name {
			t.Error(m.Name())
		}
	})
}

// CommitTo and Link reach other filesystems, where the data are copied.
func TestCommitToOtherFilesystem(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		there := mounttest.Dir(t, "tmpfs")
		name := join(dir, "f")
		data := noise(1, 100000)
		write(t, name, data)
		m := openMut(t, name)
		must(t, m.CommitTo(join(there, "a")))
		must(t, m.Link(join(there, "b")))
		wantFile(t, join(there, "a"), data)
		wantFile(t, join(there, "b"), data)
		wantNames(t, there, "a", "b")
	})
}
