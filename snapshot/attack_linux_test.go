package snapshot_test

import (
	"context"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// capNetRaw is cap_net_raw=ep as security.capability has it (struct vfs_cap_data, revision 2).
var capNetRaw = []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// stickyAttack is made in a sticky directory that all may write to, where the attacker has a file
// under the name of the publication for a while.
var stickyAttack = attack{
	name: "name in a sticky directory",
	prepare: func(t testing.TB, dir string) {
		putDir(t, join(dir, "tmp"), 0, 0, 0o1777)
		put(t, join(dir, "f"), "secret", 0, 0, 0o600)
	},
	moves: [2]func(dir string) error{
		plant("tmp/y"),
		func(dir string) error { return os.Remove(join(dir, "tmp/y")) },
	},
	harm: exposed(0),
}

// replacedAttack replaces the file of the victim, in a directory that the attacker may write to, by
// one of the attacker's.
var replacedAttack = attack{
	name: "own name replaced",
	prepare: func(t testing.TB, dir string) {
		putDir(t, join(dir, "shared"), attackerID, attackerID, 0o777)
		put(t, join(dir, "shared/f"), "secret", 0, 0, 0o600)
		put(t, join(dir, "shared/g"), "", attackerID, attackerID, 0o666)
	},
	moves: bothWays("shared/f", "shared/g"),
	harm:  exposed(0),
}

// promotions replace a program of the attacker's by one of root's that has more rights.
func promotions() (attacks []attack) {
	for _, kind := range []struct {
		name  string
		bless func(t testing.TB, name string)
	}{
		{"set-user-ID", func(t testing.TB, name string) { put(t, name, "root's", 0, 0, 0o4755) }},
		{"set-group-ID", func(t testing.TB, name string) { put(t, name, "root's", attackerID, 0, 0o2755) }},
		{"capabilities", func(t testing.TB, name string) {
			put(t, name, "root's", attackerID, attackerID, 0o755)
			must(t, unix.Setxattr(name, "security.capability", capNetRaw, 0))
		}},
	} {
		attacks = append(attacks, attack{
			name: kind.name,
			prepare: func(t testing.TB, dir string) {
				putDir(t, join(dir, "shared"), attackerID, attackerID, 0o777)
				put(t, join(dir, "shared/f"), "attacker's", attackerID, attackerID, 0o755)
				kind.bless(t, join(dir, "shared/g"))
			},
			moves: bothWays("shared/f", "shared/g"),
			harm:  promoted,
		})
	}
	return attacks
}

// groupAttack moves a public file of the victim's to the name of a private one.
var groupAttack = attack{
	name: "public file moved over a private one",
	prepare: func(t testing.TB, dir string) {
		putDir(t, join(dir, "shared"), victimID, attackerID, 0o770)
		put(t, join(dir, "shared/f"), "secret", victimID, victimID, 0o600)
		put(t, join(dir, "shared/g"), "public", victimID, victimID, 0o644)
	},
	moves: bothWays("shared/f", "shared/g"),
	harm:  exposed(victimID),
}

// inPlaceAttack moves a file of root's to the name of the attacker's.
var inPlaceAttack = attack{
	name: "file of root under the name",
	prepare: func(t testing.TB, dir string) {
		putDir(t, join(dir, "shared"), attackerID, attackerID, 0o777)
		put(t, join(dir, "shared/f"), "mine's", attackerID, attackerID, 0o666)
		put(t, join(dir, "shared/g"), "root's", 0, 0, 0o644)
	},
	moves: bothWays("shared/f", "shared/g"),
	harm:  overwritten,
}

// fails runs an attack on the library and wants no harm.
func (a attack) fails(t *testing.T, how, dir string, attacker user, on *user, v victim) {
	t.Helper()
	t.Run(a.name+" "+how, func(t *testing.T) {
		mounttest.Leaks(t)
		tries, harm := a.run(t, dir, attacker, on, v)
		if harm != "" {
			t.Errorf("try %d: %s", tries, harm)
		}
		t.Logf("%d tries", tries)
	})
}

func openMutIn(c snapshot.Config, name string) func(dir string) (*snapshot.MmapMut, error) {
	return func(dir string) (*snapshot.MmapMut, error) {
		return c.OpenMut(context.Background(), join(dir, name))
	}
}

// A publication takes nothing from a file that another user has in a sticky directory for a moment,
// least of all one under a name that has to be free.
func TestAttackOnNewNames(t *testing.T) {
	needOwners(t)
	systest.SkipFsync(t, true, true)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		attacker := newUser(t, attackerID, attackerID)
		link := func(m *snapshot.MmapMut, dir string) error { return m.Link(join(dir, "tmp/y")) }
		stickyAttack.fails(t, "Link", dir, attacker, nil, library(t, openMutIn(snapshot.Config{}, "f"), link))
		stickyAttack.fails(t, "Link by a temporary name", dir, attacker, nil, library(t, openMutIn(snapshot.Config{}, "f"),
			func(m *snapshot.MmapMut, dir string) error {
				defer systest.NoTmpfile()()
				return link(m, dir)
			}))
		replacedAttack.fails(t, "Link", dir, attacker, nil, library(t, openMutIn(snapshot.Config{}, "shared/f"),
			func(m *snapshot.MmapMut, dir string) error { return m.Link(join(dir, "copy")) }))
		stickyAttack.fails(t, "CommitTo", dir, attacker, nil, library(t, openMutIn(snapshot.Config{}, "f"),
			func(m *snapshot.MmapMut, dir string) error { return m.CommitTo(join(dir, "tmp/y")) }))
		newFile := func(check bool) func(dir string) (*snapshot.MmapMut, error) {
			return func(dir string) (*snapshot.MmapMut, error) {
				m, err := snapshot.Config{Perm: 0o600, CheckConflict: check}.Create(context.Background(), join(dir, "tmp/y"))
				if err == nil {
					_, err = m.WriteGrow([]byte("secret"), 0)
				}
				return m, err
			}
		}
		for _, way := range ways {
			v := func(check bool) victim {
				return library(t, newFile(check), func(m *snapshot.MmapMut, _ string) error { return way.do(m) })
			}
			stickyAttack.fails(t, "Create and "+way.name, dir, attacker, nil, v(false))
			if way.name != "CommitTo" { // which replaces what has the name
				stickyAttack.fails(t, "Create with CheckConflict and "+way.name, dir, attacker, nil, v(true))
			}
		}
	})
}

// A commit gives the contents no other owner, no looser mode, no set-id bit and no capability,
// whatever another user moves to the name.
func TestAttackOnCommits(t *testing.T) {
	needOwners(t)
	systest.SkipFsync(t, true, true)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		attacker := newUser(t, attackerID, attackerID)
		member := newUser(t, victimID, victimID)
		for _, way := range ways {
			if way.name == "CommitContext" { // as Commit
				continue
			}
			for _, check := range []bool{false, true} {
				first := way.name == "Commit" && !check
				if !first && mounttest.Count(0, 1, 1) == 0 && (way.name == "CommitNamed" || check && way.name != "Commit") {
					continue
				}
				c, how := snapshot.Config{CheckConflict: check}, way.name
				if check {
					how += " with CheckConflict"
				}
				v := library(t, openMutIn(c, "shared/f"), func(m *snapshot.MmapMut, _ string) error {
					if _, err := m.WriteGrow([]byte(" edited"), m.Size()); err != nil {
						return err
					}
					return way.do(m)
				})
				for _, a := range promotions() {
					if way.name != "CommitTo" { // which replaces whatever has the name, and keeps the owner
						promoted := a.harm
						a.harm = func(dir string, err error) string { return promoted(dir, err) + givenAway(dir, err) }
					}
					a.fails(t, how, dir, attacker, nil, v)
					if !first && mounttest.Count(0, 1, 1) == 0 {
						break
					}
				}
				if way.name == "CommitTo" {
					continue
				}
				replacedAttack.fails(t, how, dir, attacker, nil, v)
				groupAttack.fails(t, how, dir, attacker, &member, v)
			}
		}
	})
}

// In place, only the file that was opened is written to.
func TestAttackInPlace(t *testing.T) {
	needOwners(t)
	systest.SkipFsync(t, true, true)
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		attacker := newUser(t, attackerID, attackerID)
		for _, check := range []bool{false, true} {
			c, how := snapshot.Config{InPlace: true, CheckConflict: check}, "Commit"
			if check {
				how += " with CheckConflict"
			}
			inPlaceAttack.fails(t, how, dir, attacker, nil, library(t, openMutIn(c, "shared/f"),
				func(m *snapshot.MmapMut, _ string) error {
					if _, err := m.WriteAt([]byte("edited"), 0); err != nil {
						return err
					}
					return m.Commit()
				}))
		}
	})
}
