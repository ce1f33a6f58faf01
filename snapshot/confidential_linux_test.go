package snapshot_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// unnamedFiles returns the links in /proc of those descriptors of this process that are of regular
// files of size bytes without a name.
func unnamedFiles(t *testing.T, size int64) (links []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	for _, link := range all {
		var st syscall.Stat_t
		if syscall.Stat(link, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFREG &&
			st.Nlink == 0 && st.Size == size {
			links = append(links, link)
		}
	}
	return links
}

// No other user can open a private file, not even through the descriptor of this process in /proc.
// (The links of another process cannot be followed at all. The attacker here is a thread of this
// process, which can follow them, so that the mode of the file alone decides.)
//
//promise:snapshot no other user can open a private copy, wherever it lies
func TestPrivateFileIsPrivate(t *testing.T) {
	privateFiles(t)
	needOwners(t)
	const size = 123457
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		attacker := newUser(t, attackerID, attackerID)
		name, temp := join(dir, "f"), join(dir, "tmp")
		write(t, name, noise(1, size))
		must(t, os.Chmod(name, 0o600))
		must(t, os.Mkdir(temp, 0o755))
		c := snapshot.Config{TempDir: temp}
		for unsuitable, where := range []string{"beside the file", "in TempDir", "in memory"} {
			undo := tmpfiles(t, unsuitable, syscall.EOPNOTSUPP)
			m, err := c.Open(context.Background(), name)
			undo()
			must(t, err)
			closeLater(t, m)
			if n := len(unnamedFiles(t, size)); n != 1+unsuitable {
				t.Fatalf("%s: %d unnamed files", where, n)
			}
		}
		openMut(t, name)
		links := unnamedFiles(t, size)
		if len(links) != 4 {
			t.Fatalf("unnamed files %q", links)
		}
		attacker.do(func() {
			for _, link := range links {
				for _, flag := range []int{os.O_RDONLY, os.O_WRONLY, os.O_RDWR} {
					if f, err := os.OpenFile(link, flag, 0); !errors.Is(err, syscall.EACCES) {
						t.Errorf("%s with flags %#x: %v", link, flag, err)
						_ = f.Close()
					}
				}
			}
		})
	})
}

// SECURITY.md says what does not hold in a directory that another user may write to. These limits
// are as documented.
//
//promise:snapshot in a directory that others may write to, a planted file gets new contents
//promise:snapshot in a directory that others may write to, others can make commits fail
func TestSharedDirectoryLimits(t *testing.T) {
	needOwners(t)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		attacker := newUser(t, attackerID, attackerID)
		d := join(dir, "shared")
		putDir(t, d, 0, 0, 0o777)
		name := join(d, "f")
		replace := func() {
			attacker.do(func() {
				other := join(d, "other")
				err := os.WriteFile(other, []byte("another's"), 0o666)
				if err := errors.Join(err, os.Rename(other, name)); err != nil {
					t.Error(err)
				}
			})
		}
		// Denial: the commit fails as long as the file of the other user has the name.
		put(t, name, "own", 0, 0, 0o600)
		m := openMut(t, name)
		replace()
		if err := m.Commit(); !errors.Is(err, snapshot.ErrConflict) {
			t.Errorf("another user's file has the name: %v", err)
		}
		wantFile(t, name, []byte("another's"))
		// Replacement: what was committed is not what the name leads to later.
		must(t, os.Remove(name))
		must(t, m.Commit())
		wantFile(t, name, []byte("own"))
		wantMode(t, name, 0o600)
		replace()
		wantFile(t, name, []byte("another's"))
		// A planted file gets the contents of Create and CommitTo, and stays the other user's.
		for way, commit := range replacements {
			must(t, os.Remove(name))
			replace()
			must(t, commit(m, name))
			var st syscall.Stat_t
			must(t, syscall.Stat(name, &st))
			if st.Uid != attackerID || st.Size != 3 {
				t.Errorf("%s: %d bytes of user %d, other than documented", way, st.Size, st.Uid)
			}
		}
		wantNames(t, d, "f")
	})
}
