package snapshot_test

import (
	"errors"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// A naive victim asks names for everything, each time anew. It publishes the contents of the file
// from as the file to, with the attributes of whichever file has the name owner, or else with those
// of from. With link, the name must be free. With check, it must lead to the file that was opened.
type naive struct {
	from, owner, to string
	link, check     bool
}

func (n naive) victim() victim {
	return func(dir string, step func()) error {
		from, owner, to := join(dir, n.from), join(dir, n.owner), join(dir, n.to)
		data, err := os.ReadFile(from)
		var opened, now unix.Stat_t
		if err = errors.Join(err, unix.Stat(from, &opened)); err != nil {
			return err
		}
		step()
		if n.check {
			if err := unix.Stat(to, &now); err != nil || now.Ino != opened.Ino {
				return snapshot.ErrConflict
			}
			step()
		}
		if unix.Stat(owner, &now) != nil {
			now = opened
		}
		capability := make([]byte, 64)
		size, _ := unix.Getxattr(owner, "security.capability", capability)
		step()
		temporary := join(dir, "temporary")
		defer os.Remove(temporary)
		if err := errors.Join(
			os.WriteFile(temporary, data, 0o600),
			os.Chown(temporary, int(now.Uid), int(now.Gid)),
			unix.Chmod(temporary, now.Mode&0o7777),
		); err != nil {
			return err
		}
		if size > 0 {
			if err := unix.Setxattr(temporary, "security.capability", capability[:size], 0); err != nil {
				return err
			}
		}
		step()
		if n.link {
			return os.Link(temporary, to)
		}
		return os.Rename(temporary, to)
	}
}

// naiveInPlace writes to whichever file has the name.
func naiveInPlace(dir string, step func()) error {
	step()
	f, err := os.OpenFile(join(dir, "shared/f"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte("edited"))
	step()
	return errors.Join(err, f.Close())
}

// Each attack succeeds against a victim that has not the rules of this package: its tests can fail.
//
//promise:snapshot the attacks of the tests succeed on a program without the rules of this package
func TestAttackControl(t *testing.T) {
	needOwners(t)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		attacker := newUser(t, attackerID, attackerID)
		succeeds := func(a attack, how string, v victim) {
			t.Run(a.name+" "+how, func(t *testing.T) {
				tries, harm := a.run(t, dir, attacker, nil, v)
				if harm == "" {
					t.Errorf("no harm in %d tries", tries)
				}
				t.Logf("%d tries: %s", tries, harm)
			})
		}
		succeeds(stickyAttack, "link", naive{"f", "tmp/y", "tmp/y", true, false}.victim())
		succeeds(replacedAttack, "link", naive{"shared/f", "shared/f", "copy", true, false}.victim())
		for how, check := range map[string]bool{"rename": false, "rename with a check": true} {
			v := naive{"shared/f", "shared/f", "shared/f", false, check}.victim()
			for _, a := range append(promotions(), replacedAttack, groupAttack) {
				succeeds(a, how, v)
			}
		}
		succeeds(inPlaceAttack, "write", naiveInPlace)
	})
}
