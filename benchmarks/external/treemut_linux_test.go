package external

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Files on FUSE are changed as all others are, whatever the server can do: a commit in each form gives the
// name the new contents, keeps mode and owner, and leaves no other name.
func TestTreeCommit(t *testing.T) {
	eachTree(t, func(t *testing.T, tree *fusetest.Tree, back string) {
		data := noise(100 * page)
		name := filepath.Join(tree.Dir(), "f")
		must(t, os.WriteFile(filepath.Join(back, "f"), data, 0o640))
		must(t, os.Chown(filepath.Join(back, "f"), 1234, 5678))
		c := snapshot.Config{CheckConflict: true}
		m, err := c.OpenMut(context.Background(), name)
		must(t, err)
		defer m.Close()
		if m.Method() != snapshot.ComparedCopy {
			t.Error(m.Method())
		}
		for i, commit := range []func() error{m.Commit, m.Commit, func() error { return m.CommitContext(context.Background()) }} {
			data = append(data, noise(page)...)
			must(t, m.Resize(int64(len(data))))
			data[5] = byte(i)
			_, err := m.WriteAt(data, 0)
			must(t, err)
			must(t, commit())
			wantFile(t, name, data)
			wantFile(t, filepath.Join(back, "f"), data)
		}
		must(t, m.CommitTo(filepath.Join(tree.Dir(), "to")))
		must(t, m.CommitTo(filepath.Join(tree.Dir(), "to")))
		must(t, m.Link(filepath.Join(tree.Dir(), "link")))
		wantIs(t, m.Link(filepath.Join(tree.Dir(), "link")), fs.ErrExist)
		for _, name := range []string{"f", "link", "to"} {
			wantFile(t, filepath.Join(back, name), data)
			fi, err := os.Stat(filepath.Join(back, name))
			must(t, err)
			if st := fi.Sys().(*syscall.Stat_t); fi.Mode() != 0o640 || st.Uid != 1234 || st.Gid != 5678 {
				t.Errorf("%s: %v %d:%d", name, fi.Mode(), st.Uid, st.Gid)
			}
		}
		wantNames(t, back, "f", "link", "to")
		must(t, m.Resize(3))
		must(t, m.CommitAndClose())
		wantFile(t, filepath.Join(back, "f"), data[:3])

		n, err := c.Create(context.Background(), filepath.Join(tree.Dir(), "new"))
		must(t, err)
		defer n.Close()
		must(t, n.Resize(page))
		wantNames(t, back, "f", "link", "to")
		must(t, n.Commit())
		wantFile(t, filepath.Join(back, "new"), make([]byte, page))
		wantNames(t, back, "f", "link", "new", "to")
	})
}

// Whoever else changes the file, through the same mount or behind it, makes the next commit that checks
// fail.
func TestTreeConflict(t *testing.T) {
	eachTree(t, func(t *testing.T, tree *fusetest.Tree, back string) {
		for where, dir := range map[string]string{"Same": tree.Dir(), "Behind": back} {
			if where == "Behind" && strings.HasSuffix(t.Name(), "Writeback") {
				continue // the kernel takes itself for the only one who writes
			}
			for how, change := range map[string]func(name string) error{
				"Write":  func(name string) error { return os.WriteFile(name, []byte("theirs"), 0) },
				"Chmod":  func(name string) error { return os.Chmod(name, 0o755) },
				"Remove": os.Remove,
				"Replace": func(name string) error {
					return errors.Join(os.WriteFile(name+"2", []byte("theirs"), 0o644), os.Rename(name+"2", name))
				},
			} {
				must(t, os.WriteFile(filepath.Join(tree.Dir(), "f"), []byte("old"), 0o644))
				m, err := snapshot.Config{CheckConflict: true}.OpenMut(context.Background(), filepath.Join(tree.Dir(), "f"))
				must(t, err)
				for range 2 { // what is expected is the file that was opened, then that which was committed
					must(t, m.Commit())
				}
				time.Sleep(25 * time.Millisecond) // the kernel's own clock, for Writeback, ticks every ten at most
				must(t, change(filepath.Join(dir, "f")))
				if err := m.Commit(); !errors.Is(err, snapshot.ErrConflict) {
					t.Errorf("%s %s: %v", where, how, err)
				}
				must(t, m.Close())
			}
		}
	})
}

// Readers see one version, old or new, whole, while commits follow one another, and two snapshots at a time
// are committed.
//
//promise:snapshot.MmapMut.Commit on a server without inode numbers readers see one version, whole
func TestTreeReaders(t *testing.T) {
	eachTree(t, func(t *testing.T, tree *fusetest.Tree, back string) {
		const size = 40 * page
		name := filepath.Join(tree.Dir(), "f")
		must(t, os.WriteFile(name, make([]byte, size), 0o644))
		var stop atomic.Bool
		var readers, writers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for !stop.Load() {
					data, err := os.ReadFile(name)
					// A file that was replaced between being looked up and being opened.
					if errors.Is(err, syscall.ESTALE) || errors.Is(err, fs.ErrNotExist) {
						continue
					}
					if err != nil || len(data) != size || slices.Min(data) != slices.Max(data) {
						t.Errorf("%d bytes, %v", len(data), err)
						return
					}
				}
			})
			readers.Go(func() {
				for !stop.Load() {
					m, err := snapshot.Open(name)
					if err != nil {
						t.Error(err)
						return
					}
					data := make([]byte, m.Size())
					if _, err := m.ReadAt(data, 0); err != nil || len(data) != size || slices.Min(data) != slices.Max(data) {
						t.Errorf("%d bytes, %v", len(data), err)
					}
					if err := m.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for writer := range 2 {
			m, err := snapshot.OpenMut(name)
			must(t, err)
			defer m.Close()
			writers.Go(func() {
				for version := range mounttest.Count(10, 10, 250) {
					if _, err := m.WriteAt(slices.Repeat([]byte{byte(version<<1 | writer)}, size), 0); err != nil {
						t.Error(err)
					}
					if err := m.Commit(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		stop.Store(true)
		readers.Wait()
		wantNames(t, back, "f")
	})
}

// A commit whose k-th request the server fails, for every k, either fails and leaves the file as it was,
// or succeeds; and it leaves no name. What failed can be tried again, with success.
func TestTreeCommitFails(t *testing.T) {
	every := mounttest.Count(8, 7, 1)
	for way, commit := range commits {
		t.Run(way, func(t *testing.T) {
			tree, back := newTree(t, bareTree)
			mounttest.Leaks(t)
			failed := map[string]int{}
			for k, bad := 1+rand.N(every), "some"; bad != ""; k += every {
				errno := []syscall.Errno{syscall.EIO, syscall.ENOSPC}[k/every%2]
				bad = commitFails(t, tree, back, commit, errno, func() { tree.FailNth(t, int64(k), errno) })
				failed[bad]++
			}
			t.Log(failed)
			for _, request := range []string{"CREATE", "WRITE", "FSYNC", "SETATTR", "RENAME", "LINK"} {
				errno := []syscall.Errno{syscall.EIO, syscall.ENOSPC}[rand.N(2)]
				bad := commitFails(t, tree, back, commit, errno, func() { tree.Fail(t, errno, request) })
				if needed := request != map[bool]string{true: "RENAME", false: "LINK"}[way == "Link"]; (bad == request) != needed {
					t.Errorf("%s failed: %v, want %v", request, !needed, needed)
				}
			}
		})
	}
}

// commitFails tries a commit while there is trouble, and returns the request that failed, or "".
func commitFails(t *testing.T, tree *fusetest.Tree, back string, commit func(*snapshot.MmapMut) error, errno syscall.Errno, trouble func()) string {
	t.Helper()
	old, data := noise(3*page), noise(5*page)
	must(t, os.WriteFile(filepath.Join(back, "f"), old, 0o600))
	m, err := snapshot.OpenMut(filepath.Join(tree.Dir(), "f"))
	must(t, err)
	defer m.Close()
	must(t, m.Resize(int64(len(data))))
	_, err = m.WriteAt(data, 0)
	must(t, err)
	tree.Requests(t)
	trouble()
	err = commit(m)
	bad := tree.Requests(t).Bad
	tree.Heal(t)
	what := fmt.Sprintf("with a bad %s: %v", bad, err)

	published := err == nil || errors.Is(err, snapshot.ErrNotDurable)
	if !published && !errors.Is(err, errno) {
		t.Error(what)
	}
	wantPublished := func() {
		t.Helper()
		if names := namesIn(t, back); slices.Equal(names, []string{"f"}) {
			wantFile(t, filepath.Join(back, "f"), data)
		} else if slices.Equal(names, []string{"f", "f2"}) { // CommitTo, Link
			wantFile(t, filepath.Join(back, "f"), old)
			wantFile(t, filepath.Join(back, "f2"), data)
			must(t, os.Remove(filepath.Join(back, "f2")))
		} else {
			t.Errorf("%s; names left: %v", what, names)
		}
	}
	if !published {
		wantNames(t, back, "f")
		wantFile(t, filepath.Join(back, "f"), old)
		if err := commit(m); err != nil {
			t.Errorf("%s; and then %v", what, err)
		}
	}
	wantPublished()
	return bad
}

// The lock that guards temporary names and commits is the kernel's own, on FUSE, too.
func TestTreeFlock(t *testing.T) {
	tree, back := newTree(t, bareTree)
	must(t, os.WriteFile(filepath.Join(back, "f"), []byte("old"), 0o644))
	f, err := os.Open(filepath.Join(tree.Dir(), "f"))
	must(t, err)
	defer f.Close()
	g, err := os.Open(filepath.Join(tree.Dir(), "f"))
	must(t, err)
	defer g.Close()
	must(t, syscalls.TryFlock(int(f.Fd())))
	wantIs(t, syscalls.TryFlock(int(g.Fd())), syscall.EAGAIN)
	must(t, syscalls.Funlock(int(f.Fd())))
	must(t, syscalls.TryFlock(int(g.Fd())))
}
