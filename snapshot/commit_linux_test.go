package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// The file is exactly the new contents, whatever its length was, and no other name is left.
//
//promise:snapshot.MmapMut.Commit the file has exactly the contents of the snapshot
//promise:snapshot.MmapMut.Commit descriptors that were opened before a commit show the old contents
//promise:snapshot.MmapMut.Commit Commit leaves no other name behind
func TestCommitLengths(t *testing.T) { smallAndPrivate(t, commitLengths) }

func commitLengths(t *testing.T) {
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
//
//promise:snapshot.MmapMut.Commit after Commit the snapshot can be changed and committed again
func TestCommitAgain(t *testing.T) { smallAndPrivate(t, commitAgain) }

func commitAgain(t *testing.T) {
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

//promise:snapshot.Config.Create nothing of the file is visible before the first commit
//promise:snapshot.Config.Perm a new file gets these permissions before the umask
//promise:snapshot.Create the file exists from the first commit on, with mode 0666 before the umask
func TestCreate(t *testing.T) { smallAndPrivate(t, checkCreate) }

func checkCreate(t *testing.T) {
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
//
//promise:snapshot.Config.Create a file that the first commit replaces gives its mode and owner
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

// A context that ends before the new contents are published, at whatever system call, leaves
// everything as it was.
//
//promise:snapshot.MmapMut.CommitContext if the context ends first, CommitContext changes nothing
//promise:snapshot.MmapMut.CommitToContext if the context ends first, nothing changes
//promise:snapshot.MmapMut.LinkContext if the context ends first, LinkContext makes no file
func TestCommitContext(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		for way, test := range map[string]struct {
			commit func(m *snapshot.MmapMut, ctx context.Context) error
			text   string // of the error
			file   string
		}{
			"commit": {(*snapshot.MmapMut).CommitContext, "commit " + name, "f"},
			"commit to": {func(m *snapshot.MmapMut, ctx context.Context) error {
				return m.CommitToContext(ctx, name)
			}, "commit " + name + " " + name, "f"},
			"link": {func(m *snapshot.MmapMut, ctx context.Context) error {
				return m.LinkContext(ctx, name+"2")
			}, "link " + name + " " + name + "2", "f2"},
		} {
			given := 0
			for k, done := 0, false; !done; k++ {
				write(t, name, noise(1, 100))
				m := openMut(t, name)
				must(t, m.Resize(10))
				ctx, cancel := context.WithCancel(context.Background())
				calls := 0
				undo := systest.Intercept(t, func(string) error {
					if calls++; calls == k {
						cancel()
					}
					return nil
				})
				if k == 0 {
					cancel() // before it begins
				}
				err := test.commit(m, ctx)
				undo()
				cancel()
				done = calls < k
				if err != nil {
					given++
					text := test.text + ": context canceled"
					if !errors.Is(err, context.Canceled) || err.Error() != text {
						t.Errorf("call %d: %v", k, err)
					}
					wantFile(t, name, noise(1, 100))
					wantNames(t, dir, "f")
					must(t, m.Commit())
					wantFile(t, name, noise(1, 100)[:10])
				} else {
					wantFile(t, join(dir, test.file), noise(1, 100)[:10])
					_ = os.Remove(name + "2")
				}
				if (k == 0 || done) && (err != nil) == done {
					t.Errorf("%s: the context ended before call %d of %d: %v", way, k, calls, err)
				}
				must(t, m.Close())
			}
			if given < 10 {
				t.Errorf("%s was given up %d times", way, given)
			}
		}
	})
}

// A commit makes these system calls, and closes four descriptors: with the flistxattr(2) that the
// kernel refuses to a descriptor of O_PATH they are 35. Nothing waits for the disk while the
// directory is locked.
//
//promise:snapshot.MmapMut.Commit a page is committed by 35 system calls
func TestCommitCalls(t *testing.T) {
	want := []string{
		"fstat",                                                    // has the file changed since the last commit?
		"tmpfile", "writeback", "ficlone", "fstat", "writebackerr", // the new file, and its size
		"reopendir",
		"fstat", "flistxattr", "fchmod", "fsync", "fstat", // its attributes, and its data on the disk
		"flock",
		"openpath", "fstat", "fstat", "fstat", "flistxattr", "fstat", // the file that has the name
		"statx append", "flock", "linkat", "openpath", "fstat", // the temporary name
		"renameat", "fstat",
		"funlock",
		"fsync", "fstat", // the name on the disk
		"fiemap", // how many extents there are to join
	}
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		name := join(dir, "f")
		write(t, name, noise(1, 1<<20))
		m := openMut(t, name)
		for k := range 3 {
			_, err := m.WriteAt([]byte{byte(k)}, int64(k)*8192)
			must(t, err)
			var calls []string
			undo := systest.Intercept(t, func(call string) error {
				calls = append(calls, call)
				return nil
			})
			must(t, m.Commit())
			undo()
			if !slices.Equal(calls, want) {
				t.Errorf("commit %d made these calls:\n%v, want\n%v", k, calls, want)
			}
		}
	})
}
