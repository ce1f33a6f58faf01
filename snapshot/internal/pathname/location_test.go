package pathname

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// Split returns a directory and a name in it that mean to the kernel what the whole name means.
func TestSplit(t *testing.T) {
	for name, want := range map[string][2]string{
		"f":       {".", "f"},
		"f/":      {".", "f"},
		"./f":     {".", "f"},
		"/f":      {"/", "f"},
		"//f//":   {"/", "f"},
		"/":       {"/", "."},
		"//":      {"/", "."},
		"a/f":     {"a", "f"},
		"a//f":    {"a/", "f"},
		"/a/f":    {"/a", "f"},
		"a/../f":  {"a/..", "f"},
		"a/./f/":  {"a/.", "f"},
		"..":      {".", ".."},
		"../a/..": {"../a", ".."},
	} {
		if dir, base := Split(name); [2]string{dir, base} != want {
			t.Errorf("Split(%q): %q, %q, want %q", name, dir, base, want)
		}
	}
}

// NotRegular names the kind of the file, and can be tested for: a directory is EISDIR, everything
// else is invalid.
func TestNotRegular(t *testing.T) {
	if err := NotRegular(fs.ModeDir | 0o755); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("a directory: %v", err)
	}
	for mode, want := range map[fs.FileMode]string{
		fs.ModeNamedPipe:                     "a FIFO",
		fs.ModeSocket:                        "a socket",
		fs.ModeDevice:                        "a block device",
		fs.ModeDevice | fs.ModeCharDevice:    "a character device",
		fs.ModeSymlink | 0o777:               "a symbolic link",
		fs.ModeIrregular | fs.ModeSetuid:     "an irregular file",
		fs.ModeNamedPipe | fs.ModeSticky | 7: "a FIFO",
	} {
		err := NotRegular(mode)
		want += ", not a regular file: invalid argument"
		if !errors.Is(err, fs.ErrInvalid) || err.Error() != want {
			t.Errorf("%v: %v", mode, err)
		}
	}
}

// Two descriptions are of one version if inode, size and times agree; access mode and links do not
// matter.
func TestSameVersion(t *testing.T) {
	now := time.Unix(1, 2)
	st := syscalls.Stat{Dev: 1, Ino: 2, Size: 3, Mtime: now, Ctime: now}
	for what, change := range map[string]struct {
		do   func(st *syscalls.Stat)
		same bool
	}{
		"nothing":    {func(*syscalls.Stat) {}, true},
		"links":      {func(st *syscalls.Stat) { st.Nlink++ }, true},
		"device":     {func(st *syscalls.Stat) { st.Dev++ }, false},
		"inode":      {func(st *syscalls.Stat) { st.Ino++ }, false},
		"size":       {func(st *syscalls.Stat) { st.Size++ }, false},
		"mtime":      {func(st *syscalls.Stat) { st.Mtime = now.Add(1) }, false},
		"ctime":      {func(st *syscalls.Stat) { st.Ctime = now.Add(1) }, false},
		"other zone": {func(st *syscalls.Stat) { st.Mtime = now.UTC() }, true},
	} {
		changed := st
		change.do(&changed)
		if got := SameVersion(st, changed); got != change.same {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// Unreachable marks an error, and keeps its text and its cause.
func TestUnreachable(t *testing.T) {
	err := Unreachable(syscall.ESTALE)
	if !IsUnreachable(err) || IsUnreachable(syscall.ESTALE) || !IsGone(err) ||
		err.Error() != syscall.ESTALE.Error() {
		t.Error(err)
	}
}
