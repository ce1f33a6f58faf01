package snapshot_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// protectedRegular sets the sysctl until the test ends.
func protectedRegular(t *testing.T, value string) {
	t.Helper()
	const sysctl = "/proc/sys/fs/protected_regular"
	old, err := os.ReadFile(sysctl)
	if err == nil {
		err = os.WriteFile(sysctl, []byte(value), 0)
	}
	if err != nil {
		t.Skip("cannot be set here: ", err)
	}
	t.Cleanup(func() { must(t, os.WriteFile(sysctl, old, 0)) })
}

// refusedAsSticky reports whether err says that a file of another user is not replaced.
func refusedAsSticky(err error) bool {
	return errors.Is(err, syscall.EACCES) && strings.Contains(err.Error(), "in a sticky directory")
}

// In a sticky directory that group or others may write to, Create and CommitTo replace no file but
// those of the caller and of the directory's owner, whatever fs.protected_regular says.
//
//promise:snapshot.Config.Create a sticky directory keeps the files of other users
//promise:snapshot.Config.Create fs.protected_regular does not change what Create replaces
//promise:snapshot.MmapMut.CommitTo a sticky directory keeps the files of other users
func TestStickyDirectory(t *testing.T) {
	needOwners(t)
	for _, sysctl := range []string{"0", "1", "2"} {
		t.Run("protected_regular="+sysctl, func(t *testing.T) {
			protectedRegular(t, sysctl)
			mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
				mounttest.Leaks(t)
				write(t, join(dir, "f"), noise(1, 3))
				m := openMut(t, join(dir, "f"))
				for _, mode := range []uint32{0o1777, 0o1775, 0o1755, 0o777, 0o775} {
					for _, dirOwner := range []int{0, 2222, attackerID} {
						for _, owner := range []int{0, 2222, attackerID} {
							d := join(dir, fmt.Sprintf("%o-%d-%d", mode, dirOwner, owner))
							putDir(t, d, dirOwner, 77, mode)
							refused := mode&0o1000 != 0 && mode&0o022 != 0 && owner != 0 && owner != dirOwner
							for way, replace := range replacements {
								name := join(d, way)
								put(t, name, "planted", owner, owner, 0o666)
								err := replace(m, name)
								if refusedAsSticky(err) != refused || !refused && err != nil {
									t.Errorf("%s of %s: %v", way, d, err)
								}
								if refused {
									wantFile(t, name, []byte("planted"))
								} else if n := fileSize(t, name); n != 3 {
									t.Errorf("%s of %s: %d bytes", way, d, n)
								}
								wantNames(t, d, way)
								must(t, os.Remove(name))
							}
						}
					}
				}
			})
		})
	}
}

// The rule is for files that were not opened, and for those that exist when they are replaced.
//
//promise:snapshot.MmapMut.Commit in a sticky directory Commit replaces the file that was opened
//promise:snapshot.Config.Create in a sticky directory a file made after Create is not replaced
func TestStickyDirectoryElse(t *testing.T) {
	needOwners(t)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		d := join(dir, "tmp")
		putDir(t, d, 0, 0, 0o1777)
		name := join(d, "f")
		// Commit of a file that was opened: it was the caller's choice.
		put(t, name, "opened", attackerID, attackerID, 0o640)
		m := openMut(t, name)
		must(t, m.Resize(3))
		must(t, m.Commit())
		wantFile(t, name, []byte("ope"))
		wantMode(t, name, 0o640)
		must(t, m.Close())
		// Create says so at once, and follows no link of another user.
		if _, err := snapshot.Create(name); !refusedAsSticky(err) {
			t.Error(err)
		}
		put(t, join(dir, "elsewhere"), "planted", attackerID, attackerID, 0o666)
		m = openMut(t, join(dir, "elsewhere"))
		for link, owner := range map[string]int{"own": 0, "another's": attackerID} {
			link := join(d, link)
			must(t, os.Symlink("../elsewhere", link))
			must(t, os.Lchown(link, owner, owner))
			created, createErr := snapshot.Create(link)
			if createErr == nil {
				must(t, created.Close())
			}
			for _, err := range []error{createErr, m.CommitTo(link)} {
				if refusedAsSticky(err) != (owner != 0) || owner == 0 && err != nil {
					t.Errorf("%s: %v", link, err)
				}
			}
			must(t, os.Remove(link))
		}
		// Create of what must be new says what CheckConflict promises.
		must(t, m.Close())
		m, err := snapshot.Config{CheckConflict: true}.Create(context.Background(), name)
		must(t, err)
		if err := m.Commit(); !errors.Is(err, snapshot.ErrConflict) || errors.Is(err, fs.ErrPermission) {
			t.Error(err)
		}
		must(t, m.Close())
		// One that is put there between Create and Commit.
		must(t, os.Remove(name))
		m = create(t, name)
		must(t, m.Resize(3))
		put(t, name, "planted", attackerID, attackerID, 0o666)
		if err := m.Commit(); !refusedAsSticky(err) {
			t.Error(err)
		}
		wantFile(t, name, []byte("planted"))
		must(t, os.Remove(name))
		must(t, m.Commit())
		wantNames(t, d, "f")
	})
}

// Create and CommitTo replace no file that the caller may not write to, though the directory is the
// caller's.
//
//promise:snapshot.Config.Create Create replaces no file that the caller may not write to
//promise:snapshot.MmapMut.CommitTo CommitTo replaces no file that the caller may not write to
func TestReplaceUnwritable(t *testing.T) {
	needOwners(t)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		d := join(dir, "own")
		putDir(t, d, victimID, victimID, 0o755)
		put(t, join(d, "f"), "root's", 0, 0, 0o644)
		put(t, join(d, "own"), "own", victimID, victimID, 0o644)
		newUser(t, victimID, victimID).do(func() {
			m, err := snapshot.OpenMut(join(d, "own"))
			if err != nil {
				t.Error(err)
				return
			}
			defer m.Close()
			_, err = snapshot.Create(join(d, "f"))
			for _, err := range []error{err, m.CommitTo(join(d, "f"))} {
				if !os.IsPermission(err) {
					t.Error(err)
				}
			}
		})
		wantFile(t, join(d, "f"), []byte("root's"))
	})
}

// A stickyRow is a file in a sticky directory. IDs are those of the initial user namespace.
type stickyRow struct {
	Name                    string
	Caller, DirOwner, Owner int
	Refused                 bool   // it must not be replaced without having been opened
	Mode                    uint32 // if not 0, it is committed to instead, and has this mode then
}

// The user namespace of TestStickyUserNamespace maps this many IDs from this one on to 0, 1, 2 and
// so on.
const mappedFrom, mappedIDs = 100000, 65536

const stickyRowsEnv = "SNAPSHOT_STICKY_ROWS"

// Owners that a user namespace does not map all look the same, and like a user 65534 that it maps.
// They are not taken for each other.
//
//promise:snapshot.Config.Create owners that a user namespace does not map are not taken as equal
//promise:snapshot.MmapMut.Commit in a user namespace set-id bits of unmapped owners are dropped
func TestStickyUserNamespace(t *testing.T) {
	needOwners(t)
	const nobody = mappedFrom + 65534
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		var rows []stickyRow
		add := func(caller, dirOwner, owner int, refused bool) {
			d := join(dir, fmt.Sprint(len(rows)))
			putDir(t, d, dirOwner, mappedFrom, 0o1777)
			put(t, join(d, "f"), "planted", owner, mappedFrom, 0o666)
			rows = append(rows, stickyRow{join(d, "f"), caller, dirOwner, owner, refused, 0})
		}
		commit := func(owner int, before, after uint32) {
			add(mappedFrom, mappedFrom, owner, false)
			rows[len(rows)-1].Mode = after
			must(t, syscall.Chmod(rows[len(rows)-1].Name, before))
		}
		commit(mappedFrom, 0o4755, 0o4755)
		commit(mappedFrom+7, 0o6755, 0o6755)
		commit(mappedFrom, 0o2755, 0o755) // the group is not mapped
		must(t, os.Chown(rows[len(rows)-1].Name, mappedFrom, 5))
		must(t, syscall.Chmod(rows[len(rows)-1].Name, 0o2755))
		commit(nobody, 0o4757, 0o757)                      // no capability is certain over this owner
		add(mappedFrom, 0, mappedFrom, false)              // the caller's
		add(mappedFrom, mappedFrom+7, mappedFrom+7, false) // of the directory's owner
		add(mappedFrom, mappedFrom+7, mappedFrom+8, true)
		add(mappedFrom, 0, mappedFrom+8, true)
		add(mappedFrom, 0, 5, true) // two users that are not mapped
		add(mappedFrom, 0, nobody, true)
		add(mappedFrom, nobody, 5, true)
		add(nobody, 0, nobody, false) // the caller's
		add(nobody, 0, 5, true)
		add(nobody, nobody, 5, true)
		text, err := json.Marshal(rows)
		must(t, err)
		for _, caller := range []int{mappedFrom, nobody} {
			maps := []syscall.SysProcIDMap{{ContainerID: 0, HostID: mappedFrom, Size: mappedIDs}}
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestStickyUserNamespaceChild$", "-test.v")
			cmd.Env = append(os.Environ(), stickyRowsEnv+"="+string(text), fmt.Sprintf("TEST_CALLER=%d", caller))
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags: syscall.CLONE_NEWUSER, UidMappings: maps, GidMappings: maps,
				Credential: &syscall.Credential{Uid: uint32(caller - mappedFrom), Gid: 0},
				Pdeathsig:  syscall.SIGKILL,
			}
			out, err := cmd.CombinedOutput()
			if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
				t.Skip("no user namespaces here: ", err)
			}
			if err != nil || !strings.Contains(string(out), "--- PASS: TestStickyUserNamespaceChild") {
				t.Errorf("as %d: %v\n%s", caller, err, out)
			}
		}
	})
}

func TestStickyUserNamespaceChild(t *testing.T) {
	text := os.Getenv(stickyRowsEnv)
	if text == "" {
		t.Skip("part of TestStickyUserNamespace")
	}
	var rows []stickyRow
	must(t, json.Unmarshal([]byte(text), &rows))
	for _, row := range rows {
		if fmt.Sprint(row.Caller) != os.Getenv("TEST_CALLER") {
			continue
		}
		if row.Mode != 0 {
			m := openMut(t, row.Name)
			must(t, m.Resize(3))
			must(t, m.Commit())
			var st syscall.Stat_t
			must(t, syscall.Stat(row.Name, &st))
			if st.Mode&0o7777 != row.Mode {
				t.Errorf("%+v: mode %#o", row, st.Mode&0o7777)
			}
			continue
		}
		for way, replace := range replacements {
			if way == "CommitTo" {
				continue // needs a snapshot, and asks the same question
			}
			if err := replace(nil, row.Name); refusedAsSticky(err) != row.Refused || !row.Refused && err != nil {
				t.Errorf("%s %+v: %v", way, row, err)
			}
		}
	}
}
