package snapshot_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

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
