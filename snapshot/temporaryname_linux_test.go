package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A file that is removed while Create's commit replaces it leaves nothing of its mode to the new
// one.
//
//promise:snapshot.Config.Create a replaced file that is removed meanwhile leaves no attributes
func TestCreateOverVanishing(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		if filepath.Base(dir) == "CommitNamed" {
			t.Skip("locks more than the directory")
		}
		name := join(dir, "f")
		put := func() {
			write(t, name, nil)
			must(t, os.Chmod(name, 0o666))
		}
		// Under the lock, the look that counts is the last one before the file gets its name.
		looks, locked := 0, false
		m := create(t, name)
		undo := systest.Intercept(t, func(call string) error {
			switch call {
			case "flock":
				if !locked {
					looks, locked = 0, true
				}
			case "openpath":
				looks++
			case "linkat":
				if locked {
					return syscall.EIO
				}
			}
			return nil
		})
		if err := commit(m); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		undo()
		for times := 1; times <= 4; times++ {
			put()
			m, err := snapshot.Config{Perm: 0o604}.Create(context.Background(), name)
			must(t, err)
			closeLater(t, m)
			must(t, m.Resize(10))
			vanished, gone := 0, 0
			undo := systest.Intercept(t, func(call string) error {
				switch {
				case vanished == times:
				case call == "flock":
					must(t, os.Remove(name))
					vanished++
					gone = looks
				case call == "openpath" && gone > 0:
					gone--
				case call == "openpath" && vanished > 0:
					put() // for the first look of another try
				}
				return nil
			})
			err = commit(m)
			undo()
			if err == nil {
				wantMode(t, name, 0o604)
				must(t, os.Remove(name))
			} else if !errors.Is(err, snapshot.ErrConflict) || vanished < 3 {
				t.Errorf("after it vanished %d times: %v", vanished, err)
			}
			_ = os.Remove(name)
			wantNames(t, dir)
		}
	})
}

// A file that another process puts under the temporary name is not published, unless that happens
// in the few microseconds between the look at it and the rename.
//
//promise:snapshot.MmapMut.Commit a foreign file under the temporary name is not published
func TestTemporaryNameTaken(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		defer systest.NoTmpfile()()
		name := join(dir, "f")
		for way, commit := range map[string]func(m *snapshot.MmapMut) error{
			"Commit": (*snapshot.MmapMut).Commit,
			"Link":   func(m *snapshot.MmapMut) error { return m.Link(name + ".link") },
		} {
			taken := 0
			for k, done := 1, false; !done; k++ {
				write(t, name, []byte("old"))
				m := openMut(t, name)
				must(t, m.Resize(2))
				calls, last := 0, ""
				undo := systest.Intercept(t, func(call string) error {
					calls++
					temporary, _ := filepath.Glob(join(dir, ".*.mmapsnapshot-*"))
					if calls == k && len(temporary) == 1 && call != "fstat" && !strings.HasPrefix(call, "renameat") {
						last = call
						must(t, os.Remove(temporary[0]))
						write(t, temporary[0], []byte("planted"))
						taken++
					}
					return nil
				})
				err := commit(m)
				undo()
				done = calls < k
				published := name
				if way == "Link" {
					published += ".link"
				}
				got, readErr := os.ReadFile(published)
				if string(got) == "planted" || err == nil && string(got) != "ol" {
					t.Errorf("%s, call %d, %s: %v, and the file holds %q, %v", way, k, last, err, got, readErr)
				}
				_ = m.Close()
				for _, name := range namesIn(t, dir) {
					must(t, os.Remove(join(dir, name)))
				}
			}
			if taken == 0 {
				t.Error("nothing is tested")
			}
		}
	})
}

// Another user who opens whatever has a temporary name keeps no descriptor of a file that this user
// may not open when it has its name, whichever owner and mode the name had in the meantime.
//
//promise:snapshot.MmapMut.Commit a descriptor of the temporary name never reaches the new contents
func TestHeldTemporary(t *testing.T) {
	needOwners(t)
	defer systest.NoTmpfile()()
	systest.SkipFsync(t, true, true)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		attacker := newUser(t, attackerID, attackerID)
		write(t, join(dir, "own"), []byte("secret"))
		must(t, os.Chmod(join(dir, "own"), 0o600))
		newFile := func(name string) error {
			m, err := snapshot.Config{Perm: 0o600}.Create(context.Background(), name)
			if err != nil {
				return err
			}
			defer m.Close()
			_, err = m.WriteGrow([]byte("secret"), 0)
			return errors.Join(err, m.Commit())
		}
		commitTo := func(name string) error {
			m, err := snapshot.OpenMut(join(dir, "own"))
			if err != nil {
				return err
			}
			defer m.Close()
			return m.CommitTo(name)
		}
		remove := func(d string) error { return os.Remove(join(d, "f")) }
		for what, test := range map[string]struct {
			victim func(name string) error
			move   func(dir string) error
		}{
			"CommitTo, then removed":  {commitTo, remove},
			"CommitTo, then replaced": {commitTo, bothWays("f", "g")[0]},
			"Create, then removed":    {newFile, remove},
			"Create, then replaced":   {newFile, bothWays("f", "g")[0]},
		} {
			held := 0
			for k, done := 1, false; !done; k++ {
				d := join(dir, "shared")
				putDir(t, d, attackerID, attackerID, 0o777)
				put(t, join(d, "f"), "planted", attackerID, attackerID, 0o666)
				put(t, join(d, "g"), "root's", 0, 0, 0o600)
				calls := 0
				var descriptors []*os.File
				undo := systest.Intercept(t, func(string) error {
					calls++
					attacker.do(func() {
						temporary, _ := filepath.Glob(join(d, ".*.mmapsnapshot-*"))
						for _, name := range temporary {
							if f, err := os.OpenFile(name, os.O_RDWR, 0); err == nil {
								descriptors = append(descriptors, f)
							}
						}
						if calls == k {
							_ = test.move(d)
						}
					})
					return nil
				})
				err := test.victim(join(d, "f"))
				undo()
				done = calls < k
				held += len(descriptors)
				now, statErr := os.Stat(join(d, "f"))
				for _, f := range descriptors {
					fi, err := f.Stat()
					must(t, err)
					must(t, f.Close())
					if statErr == nil && os.SameFile(fi, now) && now.Sys().(*syscall.Stat_t).Uid == 0 {
						t.Errorf("%s, call %d: %v, %v, and another user has it open", what, k, err, now.Mode())
					}
				}
				if err != nil && !errors.Is(err, snapshot.ErrConflict) {
					t.Errorf("%s, call %d: %v", what, k, err)
				}
				must(t, os.RemoveAll(d))
			}
			if held == 0 {
				t.Errorf("%s: nothing is tested", what)
			}
		}
	})
}

// A file that replaces a new one as soon as that has its name is not taken for it by the next
// commit.
//
//promise:snapshot.MmapMut.Commit a file that at once replaces the new file is not taken for it
func TestReplacedWhenNamed(t *testing.T) {
	for _, proc := range []bool{true, false} {
		t.Run(fmt.Sprintf("proc=%t", proc), func(t *testing.T) {
			mounttest.Each(t, func(t *testing.T, dir string) {
				mounttest.Leaks(t)
				name := join(dir, "f")
				replaced := 0
				for k, done := 1, false; !done; k++ {
					m, err := snapshot.Config{CheckConflict: true, Perm: 0o600}.Create(context.Background(), name)
					must(t, err)
					must(t, m.Resize(2))
					calls, now := 0, false
					undo := systest.Intercept(t, func(call string) error {
						if calls++; calls == k {
							if _, err := os.Lstat(name); err == nil {
								must(t, os.WriteFile(name+".new", []byte("another"), 0o644))
								must(t, os.Rename(name+".new", name))
								now = true
								replaced++
							}
						}
						if !proc && (call == "openpath follow" || call == "reopen") {
							return errors.ErrUnsupported
						}
						return nil
					})
					must(t, m.Commit())
					done = calls < k
					undo()
					err = m.Commit()
					if now {
						wantFile(t, name, []byte("another"))
					}
					if errors.Is(err, snapshot.ErrConflict) != now {
						t.Errorf("call %d, replaced %t: %v", k, now, err)
					}
					must(t, m.Close())
					must(t, os.Remove(name))
				}
				if replaced == 0 {
					t.Error("nothing is tested")
				}
			})
		})
	}
}
