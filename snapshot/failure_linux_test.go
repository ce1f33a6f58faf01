package snapshot_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Whichever call fails while a snapshot is opened: nothing is left behind, and the error says
// what failed.
//
//promise:snapshot.Config.Open if a system call fails, Open says so and leaves nothing behind
//promise:snapshot.Config.OpenMut if a system call fails, OpenMut says so and leaves nothing
//promise:snapshot.Config.Open errors are *fs.PathError with operation, name and testable reason
//promise:snapshot.Config.OpenMut errors are *fs.PathError with operation, name, testable reason
func TestOpenFailures(t *testing.T) { smallAndPrivate(t, openFailures) }

func openFailures(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 100000)
		write(t, name, data)
		must(t, os.Symlink("f", name+"link"))
		f := openFile(t, name, os.O_RDONLY)
		for kind, open := range map[string]func() (reader, error){
			"Open":        func() (reader, error) { return snapshot.Open(name + "link") },
			"OpenMut":     func() (reader, error) { return snapshot.OpenMut(name) },
			"FromFile":    func() (reader, error) { return snapshot.FromFile(f) },
			"FromFileMut": func() (reader, error) { return snapshot.FromFileMut(f) },
		} {
			t.Run(kind, func(t *testing.T) {
				mounttest.Leaks(t)
				for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EINVAL} {
					failEach(t, errno, func(arm func(), disarm func() string) {
						arm()
						m, err := open()
						disarm()
						if err != nil {
							e, ok := err.(*fs.PathError) //nolint:errorlint // the outermost is promised
							if !errors.Is(err, errno) || !ok || e.Op != "open" || e.Path != name && e.Path != name+"link" {
								t.Errorf("%T %v: is not %v", err, err, errno)
							}
							return
						}
						wantContents(t, m, data)
						must(t, m.Close())
					})
				}
			})
		}
		wantFile(t, name, data)
		wantNames(t, dir, "f", "flink")
	})
}

// Whichever call fails while a commit is made: the file is as it was or wholly new, no other
// name is left, and the snapshot goes on, or says that it is broken.
//
//promise:snapshot.MmapMut.Commit if a system call fails, the file is unchanged or new, whole
//promise:snapshot.MmapMut.Commit a commit that fails leaves no name behind and can be repeated
//promise:adapters.File.Sync if a system call fails, the file is unchanged or new, whole
func TestCommitFailures(t *testing.T) {
	eachWay(t, commitFailures)
}

// Commits on kernels that have neither reflinks nor copy_file_range make other calls, and keep the
// same promise.
func TestCommitFailuresByHand(t *testing.T) {
	systest.CopyByHand(t)
	eachWayIn(t, mounttest.Dir(t, mounttest.Host), commitFailures)
}

func commitFailures(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
	old := noise(1, 100000)
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC}[:mounttest.Count(1, 2, 2)] {
		published := 0
		failEach(t, errno, func(arm func(), disarm func() string) {
			name := join(dir, "f")
			write(t, name, old)
			m, err := snapshot.OpenMut(name)
			must(t, err)
			_, err = m.WriteAt([]byte("new"), 5000)
			must(t, err)
			want := bytes.Clone(old)
			copy(want[5000:], "new")
			arm()
			err = commit(m)
			failed := disarm()
			got, rerr := os.ReadFile(name)
			must(t, rerr)
			switch {
			case bytes.Equal(got, want):
				published++
				if err != nil && !errors.Is(err, snapshot.ErrNotDurable) {
					t.Errorf("published, but %v", err)
				}
			case bytes.Equal(got, old):
				if err == nil {
					t.Error("not published, and no error")
				} else if !errors.Is(err, errno) {
					t.Errorf("%v: is not %v", err, errno)
				}
			default:
				t.Error("the file is neither old nor new")
			}
			wantNames(t, dir, "f")
			if err != nil && !errors.Is(err, snapshot.ErrNotDurable) {
				// It works still, and the next commit does what this one could not, unless
				// it is broken: then it may have lost what was stored, and reading says so.
				p := make([]byte, 3)
				if _, rerr := m.ReadAt(p, 5000); rerr == nil {
					wantBytes(t, "contents", p, []byte("new"))
				} else if !breaks(failed, errno, m, filepath.Base(dir) == "CommitAndClose") || !errors.Is(rerr, errno) {
					t.Errorf("after %s failed: %v", failed, rerr)
				}
				_, werr := m.WriteAt([]byte("newer"), 6000)
				must(t, werr)
				copy(want[6000:], "newer")
				err := commit(m)
				if broken := err != nil; broken != breaks(failed, errno, m, filepath.Base(dir) == "CommitAndClose") {
					t.Errorf("the next commit: %v", err)
				} else if !broken {
					wantFile(t, name, want)
				}
			}
			if err := m.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
				t.Error(err)
			}
		})
		if published == 0 {
			t.Error("never published")
		}
	}
}

// Whichever call fails while a new name is made, or a name on another filesystem is written: it
// is there whole, or not at all.
//
//promise:snapshot.MmapMut.CommitTo errors of CommitTo are *os.LinkError with both names
//promise:snapshot.MmapMut.Link errors of Link are *os.LinkError with both names
//promise:snapshot.MmapMut.CommitTo if a system call fails, the file is complete or unchanged
//promise:snapshot.MmapMut.Link if a system call fails, the new name is complete or absent
//promise:snapshot.Mmap.Link errors of Link are *os.LinkError with both names
//promise:snapshot.Mmap.Link if a system call fails, the new name is complete or absent
func TestLinkFailures(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		elsewhere := mounttest.Dir(t, mounttest.Memory)
		data := noise(1, 100000)
		write(t, join(dir, "f"), data)
		for _, what := range []string{"Link", "CommitTo", "Link of a small Mmap", "Link of a Mmap"} {
			for where, to := range map[string]string{"here": dir, "elsewhere": elsewhere} {
				t.Run(what+" "+where, func(t *testing.T) {
					if what == "Link of a Mmap" {
						privateFiles(t)
					}
					mounttest.Leaks(t)
					failEach(t, syscall.ENOSPC, func(arm func(), disarm func() string) {
						m, link := newLinker(t, what, join(dir, "f"))
						arm()
						err := link(join(to, "new"))
						disarm()
						_, statErr := os.Stat(join(to, "new"))
						switch {
						case statErr == nil:
							if err != nil && !errors.Is(err, snapshot.ErrNotDurable) {
								t.Errorf("published, but %v", err)
							}
							wantFile(t, join(to, "new"), data)
							must(t, os.Remove(join(to, "new")))
						case err == nil:
							t.Error("not published, and no error")
						case !errors.Is(err, syscall.ENOSPC):
							t.Errorf("%v: is not ENOSPC", err)
						}
						e, ok := err.(*os.LinkError) //nolint:errorlint // the outermost is promised
						if err != nil && !(ok && e.Old == join(dir, "f") && e.New == join(to, "new")) {
							t.Errorf("%T %v: does not name both files", err, err)
						}
						if to == dir {
							wantNames(t, to, "f")
						} else {
							wantNames(t, to)
						}
						must(t, m.Close())
					})
				})
			}
		}
	})
}

// newLinker opens a file and returns what gives the contents another name.
func newLinker(t *testing.T, what, name string) (m reader, link func(name string) error) {
	if strings.HasSuffix(what, "Mmap") {
		m, err := snapshot.Open(name)
		must(t, err)
		return m, m.Link
	}
	w, err := snapshot.OpenMut(name)
	must(t, err)
	if what == "CommitTo" {
		return w, w.CommitTo
	}
	return w, w.Link
}

// Whichever call fails in a Resize: the size and the contents are as they were.
//
//promise:snapshot.MmapMut.Resize if Resize fails, size and contents are unchanged
func TestResizeFailures(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 100000)
		write(t, name, data)
		for _, size := range []int64{10, 3 << 20} {
			for _, call := range []string{"ftruncate", "mmap", "mremap", "mmap none"} {
				// m alone holds the snapshot: the garbage collector frees memory that a failed
				// call did not revoke.
				m, err := snapshot.OpenMut(name)
				must(t, err)
				undo := systest.Intercept(t, func(c string) error {
					if c == call || call == "mmap" && c == "mremap" {
						return syscall.ENOMEM
					}
					return nil
				})
				err = m.Resize(size)
				undo()
				switch {
				case err == nil:
					want := append(bytes.Clone(data), make([]byte, 3<<20)...)[:size]
					if mem := m.Bytes(); !bytes.Equal(mem, want) {
						t.Errorf("%d, %s: wrong contents", size, call)
					}
				case call == "ftruncate" || call == "mmap" && size > 100000:
					wantError(t, err, syscall.ENOMEM, "resize "+name+": "+syscall.ENOMEM.Error())
					wantContents(t, m, data)
					must(t, m.Resize(size))
				default:
					t.Errorf("%d, %s: %v", size, call, err)
				}
				must(t, m.Close())
			}
		}
	})
}
