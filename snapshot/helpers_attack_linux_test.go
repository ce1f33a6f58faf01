package snapshot_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// The users of the attacks, beside root.
const (
	attackerID = 65534
	victimID   = 1234
)

// A user is a thread with the credentials of another user.
type user struct {
	work chan func()
	done chan struct{}
}

// newUser starts a thread of uid and gid, which ends with the test.
func newUser(t testing.TB, uid, gid int) user {
	u := user{make(chan func()), make(chan struct{})}
	started := make(chan error)
	go mounttest.OnThread(t, func() error {
		err := mounttest.Become(uid, gid)
		started <- err
		if err != nil {
			return nil //nolint:nilerr // the test reports it
		}
		for f := range u.work {
			f()
			u.done <- struct{}{}
		}
		return nil
	})
	must(t, <-started)
	t.Cleanup(func() { close(u.work) })
	return u
}

// do runs f on the thread and returns when f has returned.
func (u user) do(f func()) {
	u.work <- f
	<-u.done
}

// A victim makes one publication in dir. It calls step at each moment in which an attacker can act.
type victim func(dir string, step func()) error

// library is a victim that uses package snapshot. Each call of the kernel is a moment.
func library(
	t testing.TB,
	open func(dir string) (*snapshot.MmapMut, error),
	do func(m *snapshot.MmapMut, dir string) error,
) victim {
	return func(dir string, step func()) error {
		m, err := open(dir)
		if err != nil {
			t.Errorf("nothing is tested: %v", err)
			return err
		}
		defer m.Close()
		step()
		defer systest.Intercept(t, func(string) error { step(); return nil })()
		return do(m, dir)
	}
}

// An attack is made of two moves of another user, each at a moment of a victim's work.
type attack struct {
	name    string
	prepare func(t testing.TB, dir string)
	moves   [2]func(dir string) error // a move that comes too early or too late may fail
	harm    func(dir string, err error) string
}

// distances are how many moments lie between the two moves of an attack; the second move is also
// left out altogether. Each number is tried with each moment of the first move.
func distances() []int {
	all := make([]int, 100)
	for i := range all {
		all[i] = i + 1
	}
	return [][]int{{1, 8}, {1, 2, 3, 4, 8, 16, 32}, all}[mounttest.Count(0, 1, 2)]
}

// run makes the attack at pairs of moments. It returns the first harm that the attack does, and
// fails the test if none of the moves ever succeeds. The victim works on the thread of on, if that
// is not nil.
func (a attack) run(t testing.TB, base string, attacker user, on *user, v victim) (tries int, harm string) {
	moved, succeeded := [2]int{}, 0
	const never = 1 << 20
	for first := never; ; first = first%never + 1 { // first of all, without any move
		moments := 0
		for i, distance := range append([]int{never}, distances()...) {
			if i > 0 && (first == never || first+distance > moments) {
				break
			}
			dir, err := os.MkdirTemp(base, "")
			must(t, err)
			must(t, os.Chmod(dir, 0o755))
			a.prepare(t, dir)
			moments = 0
			step := func() {
				moments++
				for i, at := range [2]int{first, first + distance} {
					if moments == at {
						attacker.do(func() {
							if a.moves[i](dir) == nil {
								moved[i]++
							}
						})
					}
				}
			}
			commit := func() { err = v(dir, step) }
			if on == nil {
				commit()
			} else {
				on.do(commit)
			}
			tries++
			if err == nil {
				succeeded++
			} else if first == never {
				t.Fatalf("nothing is tested: without an attack, %v", err)
			}
			if harm = a.harm(dir, err); harm != "" {
				return tries, fmt.Sprintf("moves before calls %d and %d of %d, error %v: %s",
					first-1, min(first+distance-1, moments), moments-1, err, harm)
			}
			must(t, os.RemoveAll(dir))
		}
		if first != never && first > moments {
			break
		}
	}
	if moved[0] == 0 || moved[1] == 0 || succeeded < 2 {
		t.Errorf("nothing is tested: the moves succeeded %d times, the victim %d times", moved, succeeded)
	}
	return tries, ""
}

// files calls f with each regular file below dir.
func files(dir string, f func(name string, data []byte, st *syscall.Stat_t)) {
	_ = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			var st syscall.Stat_t
			if data, err := os.ReadFile(name); err == nil && syscall.Lstat(name, &st) == nil {
				f(name, data, &st)
			}
		}
		return nil
	})
}

// exposed is the harm that a file has the contents "secret" and another owner or group than id,
// another mode than 0600, or an ACL.
func exposed(id uint32) func(dir string, err error) string {
	return func(dir string, _ error) (harm string) {
		files(dir, func(name string, data []byte, st *syscall.Stat_t) {
			n, err := unix.Getxattr(name, "system.posix_acl_access", nil)
			if bytes.Contains(data, []byte("secret")) &&
				(st.Uid != id || st.Gid != id || st.Mode&0o7777 != 0o600 || err == nil && n > 0) {
				harm = fmt.Sprintf("%s holds the secret, with mode %#o, owner %d:%d and %d bytes of ACL",
					filepath.Base(name), st.Mode&0o7777, st.Uid, st.Gid, max(n, 0))
			}
		})
		return harm
	}
}

// promoted is the harm that contents of the attacker got a set-id bit or a capability.
func promoted(dir string, _ error) (harm string) {
	files(dir, func(name string, data []byte, st *syscall.Stat_t) {
		if !bytes.Contains(data, []byte("attacker")) {
			return
		}
		n, err := unix.Getxattr(name, "security.capability", nil)
		if st.Mode&0o6000 != 0 || err == nil && n > 0 {
			harm = fmt.Sprintf("%s holds the attacker's program, with mode %#o, owner %d and %d bytes of capabilities",
				name, st.Mode&0o7777, st.Uid, max(n, 0))
		}
	})
	return harm
}

// givenAway is the harm that contents of the attacker got another owner.
func givenAway(dir string, _ error) (harm string) {
	files(dir, func(name string, data []byte, st *syscall.Stat_t) {
		if bytes.Contains(data, []byte("attacker")) && st.Uid != attackerID {
			harm = fmt.Sprintf("%s holds the attacker's program, with owner %d", name, st.Uid)
		}
	})
	return harm
}

// overwritten is the harm that a file of root was changed.
func overwritten(dir string, _ error) (harm string) {
	files(dir, func(name string, data []byte, st *syscall.Stat_t) {
		if st.Uid == 0 && !bytes.Equal(data, []byte("root's")) {
			harm = fmt.Sprintf("%s, of root, holds %q", name, data)
		}
	})
	return harm
}

// put makes a file of an owner, a group and a mode.
func put(t testing.TB, name, data string, uid, gid int, mode uint32) {
	t.Helper()
	write(t, name, []byte(data))
	must(t, os.Chown(name, uid, gid))
	must(t, syscall.Chmod(name, mode))
}

// putDir makes a directory likewise.
func putDir(t testing.TB, name string, uid, gid int, mode uint32) {
	t.Helper()
	must(t, os.Mkdir(name, 0o700))
	must(t, os.Chown(name, uid, gid))
	must(t, syscall.Chmod(name, mode))
}

// bothWays is a move that swaps two names, and one that swaps them again.
func bothWays(a, b string) [2]func(dir string) error {
	exchange := func(dir string) error {
		a, b := join(dir, a), join(dir, b)
		return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	}
	return [2]func(dir string) error{exchange, exchange}
}

// plant is a move that makes a file for all under a name that is free.
func plant(name string) func(dir string) error {
	return func(dir string) error {
		f, err := os.OpenFile(join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Chmod(0o666)
	}
}

// replacements are the ways to replace a file that was not opened.
var replacements = map[string]func(m *snapshot.MmapMut, name string) error{
	"CommitTo": (*snapshot.MmapMut).CommitTo,
	"Create": func(_ *snapshot.MmapMut, name string) error {
		m, err := snapshot.Create(name)
		if err != nil {
			return err
		}
		defer m.Close()
		return errors.Join(m.Resize(3), m.Commit())
	},
	"Create and CommitAndClose": func(_ *snapshot.MmapMut, name string) error {
		m, err := snapshot.Create(name)
		if err != nil {
			return err
		}
		defer m.Close()
		return errors.Join(m.Resize(3), m.CommitAndClose())
	},
}
