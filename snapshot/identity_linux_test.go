package snapshot_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// If another file has the name, a commit replaces it only if it has the same owner, group, mode,
// ACL and security labels, and then takes its other attributes over.
//
//promise:snapshot.MmapMut.Commit another file of equal owner, group, mode, ACL, labels is replaced
//promise:snapshot.ErrConflict Commit over a file with other attributes is ErrConflict
func TestCommitOverAnotherFile(t *testing.T) {
	needOwners(t)
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		if isCommitTo(dir) {
			t.Skip("CommitTo replaces any file")
		}
		name := join(dir, "f")
		attribute := func(name string, value string) func(t *testing.T, file string) error {
			return func(t *testing.T, file string) error {
				return unix.Setxattr(file, name, []byte(value), 0)
			}
		}
		// It takes CAP_SYS_ADMIN, where no security module knows the label.
		write(t, name, nil)
		labels := unix.Setxattr(name, "security.label", nil, 0) == nil
		for what, test := range map[string]struct {
			change   func(t *testing.T, file string) error
			conflict bool
		}{
			"nothing":    {func(*testing.T, string) error { return nil }, false},
			"owner":      {func(_ *testing.T, file string) error { return os.Chown(file, 1, 5678) }, true},
			"group":      {func(_ *testing.T, file string) error { return os.Chown(file, 1234, 1) }, true},
			"mode":       {func(_ *testing.T, file string) error { return os.Chmod(file, 0o641) }, true},
			"narrower":   {func(_ *testing.T, file string) error { return os.Chmod(file, 0o600) }, true},
			"set-id":     {func(_ *testing.T, file string) error { return os.Chmod(file, 0o640|fs.ModeSetuid) }, true},
			"label":      {attribute("security.label", "another"), true},
			"attribute":  {attribute("user.u", "another"), false},
			"capability": {attribute("security.capability", string(capNetRaw)), false},
			"ACL": {func(t *testing.T, file string) error {
				err := unix.Setxattr(file, "system.posix_acl_access", acl(1234), 0)
				return errors.Join(err, os.Chmod(file, 0o640)) // which changes the mask
			}, true},
		} {
			if what == "label" && !labels {
				continue
			}
			for file, names := range map[string][]string{
				name:           {"security.label", "security.a", "security.z"},
				join(dir, "g"): {"security.z", "security.a", "security.label"}, // perhaps listed so
			} {
				write(t, file, noise(1, 10000))
				must(t, os.Chown(file, 1234, 5678))
				must(t, os.Chmod(file, 0o640))
				for _, label := range names {
					if labels {
						must(t, unix.Setxattr(file, label, []byte("a label"), 0))
					}
				}
			}
			m := openMut(t, name)
			must(t, m.Resize(10))
			if err := test.change(t, join(dir, "g")); errors.Is(err, errors.ErrUnsupported) && !mounttest.Has(dir, mounttest.Known) {
				continue // a filesystem of the machine that does not know such attributes
			} else if err != nil {
				t.Fatal(what, err)
			}
			must(t, os.Rename(join(dir, "g"), name))
			want := attributesOf(t, name)
			err := commit(m)
			if test.conflict {
				if !errors.Is(err, snapshot.ErrConflict) {
					t.Errorf("%s: %v", what, err)
				}
				wantFile(t, name, noise(1, 10000))
			} else {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
				wantFile(t, name, noise(1, 10000)[:10])
				want = regexp.MustCompile("(?m)^security.capability=.*\n").ReplaceAllString(want, "") // see TestCapabilitiesAreDropped
			}
			if got := attributesOf(t, name); got != want {
				t.Errorf("%s: attributes were\n%s\nand are now\n%s", what, want, got)
			}
			_ = m.Close()
			wantNames(t, dir, "f")
			must(t, os.Remove(name))
		}
	})
}

// A file that was made private since is not made public again, by whichever commit.
//
//promise:snapshot.MmapMut.Commit a file that became private since OpenMut does not become public
func TestCommitBesidePrivacy(t *testing.T) {
	eachWay(t, func(t *testing.T, dir string, commit func(m *snapshot.MmapMut) error) {
		name := join(dir, "f")
		write(t, name, []byte("public"))
		first, second := openMut(t, name), openMut(t, name)
		must(t, second.Resize(3))
		must(t, second.Commit()) // another inode
		must(t, os.Chmod(name, 0o600))
		err := commit(first)
		if isCommitTo(dir) {
			must(t, err)
		} else if !errors.Is(err, snapshot.ErrConflict) {
			t.Error(err)
		}
		wantMode(t, name, 0o600)
		must(t, second.Commit()) // which knows that file
		wantFile(t, name, []byte("pub"))
		wantMode(t, name, 0o600)
	})
}

// Link asks the file that was opened for owner and mode, wherever that is by now, and never the
// name.
//
//promise:snapshot.MmapMut.Link the attributes are those of the opened file, wherever it was moved
func TestLinkOfMovedFile(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		for what, since := range map[string]func(name string) error{
			"moved":   func(name string) error { return os.Rename(name, name+".moved") },
			"removed": os.Remove,
			"replaced": func(name string) error {
				return errors.Join(os.WriteFile(name+".new", nil, 0o666), os.Chmod(name+".new", 0o666), os.Rename(name+".new", name))
			},
		} {
			name := join(dir, what)
			write(t, name, noise(1, 100))
			m := openMut(t, name)
			must(t, os.Chmod(name, 0o640))
			must(t, since(name))
			must(t, m.Link(name+".link"))
			wantFile(t, name+".link", noise(1, 100))
			wantMode(t, name+".link", 0o640)
			must(t, m.Close())
		}
		// Of one that was never committed, it is Perm.
		m, err := snapshot.Config{Perm: 0o604}.Create(context.Background(), join(dir, "new"))
		must(t, err)
		closeLater(t, m)
		write(t, join(dir, "new"), []byte("another's"))
		must(t, m.Link(join(dir, "newlink")))
		wantMode(t, join(dir, "newlink"), 0o604)
	})
}

// Link takes nothing from a file that has the new name for a moment, though it is the like of the
// snapshot's own, and finds that the name is taken, whatever has it.
//
//promise:snapshot.MmapMut.Link a file that holds the new name for a moment has no influence
func TestLinkIgnoresTheTarget(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 100))
		m := openMut(t, name)
		link, attribute := name+".link", "user.u"
		put := func() error {
			err := os.WriteFile(link, nil, 0o644)
			if xerr := unix.Setxattr(link, attribute, []byte("planted"), 0); !errors.Is(xerr, errors.ErrUnsupported) {
				err = errors.Join(err, xerr)
			}
			return err
		}
		undo := systest.Intercept(t, func(call string) error {
			switch call {
			case "flock":
				return put()
			case "linkat":
				return os.Remove(link)
			}
			return nil
		})
		err := m.Link(link)
		undo()
		must(t, err)
		if got := attributesOf(t, link); strings.Contains(got, attribute) {
			t.Error(got)
		}
		must(t, os.Remove(link))
		for what, put := range map[string]func() error{
			"the like": put,
			"another":  func() error { return errors.Join(put(), os.Chmod(link, 0o604)) },
			"a FIFO":   func() error { return unix.Mkfifo(link, 0o644) },
		} {
			undo := systest.Intercept(t, func(call string) error {
				if call == "flock" {
					return put()
				}
				return nil
			})
			err := m.Link(link)
			undo()
			if !errors.Is(err, fs.ErrExist) || errors.Is(err, snapshot.ErrConflict) {
				t.Errorf("%s: %v", what, err)
			}
			must(t, os.Remove(link))
		}
	})
}

// Attributes are those of one moment: of an ACL that is exchanged for a mode meanwhile, nothing is
// left.
//
//promise:snapshot.MmapMut.Commit mode and ACL of the published file are those of one moment
func TestAttributesOfOneMoment(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		const access = "system.posix_acl_access"
		for k, done := 1, false; !done; k++ {
			write(t, name, noise(1, 100))
			must(t, unix.Setxattr(name, access, acl(1234), 0))
			before := attributesOf(t, name)
			m := openMut(t, name)
			calls := 0
			undo := systest.Intercept(t, func(call string) error {
				if call != "flistxattr" {
					return nil
				}
				if calls++; calls == k {
					must(t, unix.Removexattr(name, access))
					must(t, os.Chmod(name, 0o701))
				}
				return nil
			})
			must(t, m.Commit())
			undo()
			done = calls < k
			// The change comes after the look that counts only if the look found an ACL.
			if got := attributesOf(t, name); got != before && !strings.HasPrefix(got, "-rwx-----x ") || strings.Contains(got, access) && got != before {
				t.Errorf("call %d: attributes were\n%s\nand are now\n%s", k, before, got)
			}
			must(t, m.Close())
			must(t, os.Remove(name))
		}
	})
}

// Without /proc, a file is opened for its attributes by its name, and recognized by device and
// inode; one that has lost its name has the attributes of when it was opened, and the owner and
// mode of now.
//
//promise:snapshot.MmapMut.Commit without /proc device and inode identify the file
//promise:snapshot.MmapMut.Commit without /proc an unlinked file has the attributes of OpenMut
func TestIdentityWithoutProc(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		replace := func(mode fs.FileMode) error {
			return errors.Join(os.Rename(name, name+".old"), os.WriteFile(name, nil, 0o600), os.Chmod(name, mode),
				unix.Setxattr(name, "security.label", []byte("a label"), 0))
		}
		for what, test := range map[string]struct {
			since        func() error
			commit       error
			mode, linked fs.FileMode
		}{
			"changed":              {func() error { return os.Chmod(name, 0o604) }, nil, 0o604, 0o604},
			"replaced by the like": {func() error { return replace(0o640) }, nil, 0o640, 0o640},
			"replaced by another":  {func() error { return replace(0o644) }, snapshot.ErrConflict, 0o644, 0o640},
			"removed":              {func() error { return errors.Join(os.Chmod(name, 0o600), os.Remove(name)) }, nil, 0o600, 0o600},
			"a FIFO by now": {func() error { return errors.Join(os.Remove(name), unix.Mkfifo(name, 0o640)) }, fs.ErrInvalid,
				0o640 | fs.ModeNamedPipe, 0o640},
		} {
			write(t, name, noise(1, 100))
			must(t, os.Chmod(name, 0o640))
			must(t, unix.Setxattr(name, "security.label", []byte("a label"), 0))
			c := snapshot.Config{InPlace: reflinks(dir) && what == "changed"}
			m, err := c.OpenMut(context.Background(), name)
			must(t, err)
			must(t, test.since())
			var commit, link error
			withoutProc(t, func() error {
				link, commit = m.Link(name+".link"), m.Commit()
				return nil
			})
			if !errors.Is(commit, test.commit) || link != nil {
				t.Errorf("%s: %v, %v", what, commit, link)
			}
			wantMode(t, name, test.mode)
			wantMode(t, name+".link", test.linked)
			if got := attributesOf(t, name+".link"); !strings.Contains(got, "security.label") {
				t.Errorf("%s: a link has only %s", what, got)
			}
			must(t, m.Close())
			for _, name := range []string{name, name + ".old", name + ".link"} {
				_ = os.Remove(name)
			}
			wantNames(t, dir)
		}
		// One that was new, too.
		withoutProc(t, func() error {
			m, err := snapshot.Config{CheckConflict: true}.Create(context.Background(), name)
			if err != nil {
				return err
			}
			defer m.Close()
			return errors.Join(m.Commit(), os.Chmod(name, 0o600), m.Link(name+".link"))
		})
		wantMode(t, name+".link", 0o600)
	})
}
