package snapshot_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// What a crash can have done that it must not.
var (
	errTorn       = errors.New("not one generation in whole")
	errOld        = errors.New("older than acknowledged")
	errAttributes = errors.New("mode or owner lost")
	errNames      = errors.New("stray name")
)

// slotName matches the temporary names that a crash may leave.
var slotName = regexp.MustCompile(`^\.[0-9a-f]{16}\.mmapsnapshot-0$`)

// inspect looks at what a crash left of the work after acked generations were acknowledged. It
// returns how many temporary names there are, and any damage.
func (w crashWork) inspect(acked int) (slots int, err error) {
	entries, err := os.ReadDir(w.Dir)
	if err != nil {
		return 0, err
	}
	own, newest := -1, 0
	var damage []error
	for _, e := range entries {
		var err error
		name, g, link := join(w.Dir, e.Name()), 0, 0
		switch {
		case slotName.MatchString(e.Name()):
			slots++
		case name == w.file():
			own, err = w.look(name)
		case w.Way == wayCommitTo && name == w.target():
			newest, err = w.look(name)
		case w.links() && scanned(e.Name(), "link-%d", &link):
			if g, err = w.look(name); err == nil && g != link {
				err = fmt.Errorf("%w: %s is generation %d", errTorn, e.Name(), g)
			}
			newest = max(newest, link)
		default:
			err = fmt.Errorf("%w: %s", errNames, e.Name())
		}
		damage = append(damage, err)
	}
	if damaged := errors.Join(damage...); damaged != nil {
		return slots, damaged
	}
	switch {
	case w.Way != wayCommitTo && !w.links():
		newest = own
	case own != 0:
		return slots, fmt.Errorf("%w: the snapshot's own file is generation %d, and never was committed", errTorn, own)
	}
	if newest < acked {
		return slots, fmt.Errorf("%w: %d, and %d was", errOld, newest, acked)
	}
	return slots, nil
}

// look returns which generation a file is.
func (w crashWork) look(name string) (int, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	g, whole := w.generationOf(data)
	if !whole {
		return 0, fmt.Errorf("%w: %s, %d bytes", errTorn, name, len(data))
	}
	fi, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	st := fi.Sys().(*syscall.Stat_t)
	uid, gid := crashOwner()
	if w.Way == wayReadLink && name != w.file() {
		uid, gid = os.Geteuid(), os.Getegid()
	}
	if fi.Mode() != crashMode || int(st.Uid) != uid || int(st.Gid) != gid {
		return 0, fmt.Errorf("%w: %s: %v %d:%d", errAttributes, name, fi.Mode(), st.Uid, st.Gid)
	}
	return g, nil
}

func scanned(s, format string, n *int) bool {
	got, err := fmt.Sscanf(s, format, n)
	return got == 1 && err == nil && fmt.Sprintf(format, *n) == s
}

// next checks that the work can go on after a crash, and that the first commit removes the
// temporary names that are left.
func (w crashWork) next(t testing.TB, acked int) {
	t.Helper()
	c, err := w.committer()
	must(t, err)
	g := acked + 1000
	must(t, c.commit(g))
	must(t, c.close())
	slots, err := w.inspect(g)
	if err != nil {
		t.Errorf("one commit after the crash: %v", err)
	}
	if slots > 0 {
		t.Errorf("one commit after the crash, %d temporary names are left", slots)
	}
}

// A tally counts what crashes did.
type tally struct {
	crashes, slots int
	generations    int // committed in all
	damage         map[string]int
}

func (s *tally) add(generations, slots int, err error) {
	s.crashes++
	s.generations += generations
	s.slots += slots
	for _, kind := range []error{errTorn, errOld, errAttributes, errNames} {
		if errors.Is(err, kind) {
			if s.damage == nil {
				s.damage = map[string]int{}
			}
			s.damage[kind.Error()]++
		}
	}
}

// survived checks what a crash left, goes on with the work there, and takes it away.
func (s *tally) survived(t *testing.T, w crashWork, acked int) {
	t.Helper()
	slots, err := w.inspect(acked)
	if err != nil {
		t.Error(err)
	} else {
		w.next(t, acked)
	}
	s.add(acked, slots, err)
	must(t, os.RemoveAll(w.Dir))
}

func (s *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d crashes in %d generations: %d left a temporary name", s.crashes, s.generations, s.slots)
	for _, kind := range slices.Sorted(maps.Keys(s.damage)) {
		fmt.Fprintf(&b, ", %d %s", s.damage[kind], kind)
	}
	return b.String()
}
