package snapshot_test

import (
	"context"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

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
//
//promise:snapshot.MmapMut.Link Link takes nothing from a file that holds the new name for a moment
//promise:snapshot.MmapMut.CommitTo a short-lived file in a sticky directory gives no attributes
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
//
//promise:snapshot.MmapMut.Commit a file that another user moves to the name gives no owner or mode
//promise:snapshot.MmapMut.Commit another user's file under the name gives no set-id or capability
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
//
//promise:snapshot.Config.InPlace a file that another user moves to the name is not written to
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
