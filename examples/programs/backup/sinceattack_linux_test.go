package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// state returns the name of the only kept state.
func (c *chain) state(t *testing.T) string {
	t.Helper()
	states, err := filepath.Glob(filepath.Join(c.keep, "*", "*"))
	if err != nil || len(states) != 1 {
		t.Fatalf("%q, %v", states, err)
	}
	return states[0]
}

// A state that is not the one that was kept, also one with the contents and the size of it, is not used:
// the file is copied whole.
func TestStateReplaced(t *testing.T) {
	for what, replace := range map[string]func(state, source string) error{
		"missing":   func(state, _ string) error { return os.Remove(state) },
		"truncated": func(state, _ string) error { return os.Truncate(state, keptFrom) },
		"store of the same byte": func(state, _ string) error {
			return withFile(state, func(f *os.File, _ int64) error {
				_, err := f.WriteAt(randomBytes(1, 1), 0)
				return err
			})
		},
		// The source as it is now: no range would be copied.
		"reflink of the source": func(state, source string) error {
			return firstError(os.Remove(state), reflink(state, source))
		},
		"same inode, written": func(state, source string) error {
			fi, err := os.Stat(state)
			return firstError(err, reflink(state, source), os.Chtimes(state, fi.ModTime(), fi.ModTime()))
		},
		"moved away and back": func(state, _ string) error {
			return firstError(os.Rename(state, state+"x"), os.Rename(state+"x", state))
		},
		"directory": func(state, _ string) error { return firstError(os.Remove(state), os.Mkdir(state, 0o700)) },
		"fifo":      func(state, _ string) error { return firstError(os.Remove(state), syscall.Mkfifo(state, 0o600)) },
		"link out": func(state, source string) error {
			return firstError(os.Remove(state), os.Symlink(source, state))
		},
		"link to another": func(state, source string) error {
			return firstError(os.Rename(state, state+"x"), reflink(state+"y", source),
				os.Symlink(filepath.Base(state)+"y", state))
		},
	} {
		t.Run(what, func(t *testing.T) {
			mounttest.Leaks(t)
			c, name := newSmallChain(t)
			must(t, withFile(name, func(f *os.File, _ int64) error {
				_, err := f.WriteAt([]byte("changed"), 1<<20)
				return err
			}))
			must(t, replace(c.state(t), name))
			c.next(t, "; 1 by copy of a reflink; ", "backup: f: copied whole: ")
		})
	}
}

// reflink makes the contents of a file those of another.
func reflink(to, from string) error {
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer dst.Close()
	return withFile(from, func(f *os.File, _ int64) error { _, err := dst.ReadFrom(f); return err })
}

// Files are used by the next copy whatever the umask was when they were made.
func TestSinceUmask(t *testing.T) {
	mounttest.Leaks(t)
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	c, _ := newSmallChain(t)
	c.next(t, "; 1 by copy of the changes, ", "")
}

// A name that leads to another file, and two files that change places, are copied right.
func TestSinceRenamed(t *testing.T) {
	mounttest.Leaks(t)
	c, name := newSmallChain(t)
	other := programtest.Put(t, c.source, "g", string(randomBytes(2, editedSize)))
	c.next(t, "; 1 by copy of the changes, 0 bytes read; 2 states kept", "")
	must(t, os.Rename(name, name+"x"))
	must(t, os.Rename(other, name))
	must(t, os.Rename(name+"x", other))
	c.next(t, "; 2 by copy of the changes, ", "")
	must(t, os.Truncate(name, 10))
	must(t, os.Remove(other))
	c.next(t, "; 0 states kept", "")
	mounttest.WantNames(t, c.keep)
}

// A byte of the previous copy that the disk changed is in the next copy, too, and verify reports it in
// both: the hash is of the source. A copy that is too short is not used.
func TestPreviousDamaged(t *testing.T) {
	mounttest.Leaks(t)
	c, _ := newSmallChain(t)
	previous := filepath.Join(c.copied(0), treeName, "f")
	fi, err := os.Stat(previous)
	must(t, err)
	must(t, withFile(previous, func(f *os.File, _ int64) error {
		_, err := f.WriteAt([]byte{randomBytes(1, editedSize)[editedSize-1] ^ 1}, editedSize-1)
		return err
	}))
	must(t, os.Chtimes(previous, fi.ModTime(), fi.ModTime()))
	programtest.Call(t, run, c.args()...).Want(t, 0, "; 1 by copy of the changes, 0 bytes read", "")
	for i := range 2 {
		programtest.Call(t, run, "-verify", c.copied(i)).Want(t, 1, "f: other contents\n", "1 difference")
	}
	c.n++
	must(t, os.Truncate(filepath.Join(c.copied(1), treeName, "f"), editedSize-1))
	c.next(t, "; 1 by copy of a reflink; ", "backup: f: copied whole: the previous copy is not as in its manifest")
	must(t, os.Remove(filepath.Join(c.copied(2), treeName, "f")))
	c.next(t, "; 1 by copy of a reflink; ", "backup: f: copied whole: ")
}

// Where the previous copy lies on another filesystem than the new one, its file is copied.
func TestPreviousElsewhere(t *testing.T) {
	mounttest.Leaks(t)
	c, name := newSmallChain(t)
	must(t, os.Truncate(name, editedSize-5))
	copied := filepath.Join(mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks), "copy")
	programtest.Call(t, run, "-keep", c.keep, "-since", c.copied(0), c.source, copied).
		Want(t, 0, "; 1 by copy of the changes, ", "")
	programtest.Call(t, run, "-verify", copied).Want(t, 0, "as in the manifest", "")
	must(t, sameFiles(name, filepath.Join(copied, treeName, "f")))
}

// A state that cannot be kept is reported, and is no reason to give up; nor are changes that cannot be
// read a reason to do anything but copy the whole file.
func TestStateFails(t *testing.T) {
	mounttest.Leaks(t)
	c, name := newSmallChain(t)
	var said strings.Builder
	copier := newCopier(t, c.source, &said)
	k, err := openKeep(c.keep)
	must(t, err)
	copier.keep = k
	defer k.close()
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	m, old := k.snapshot(t.Context(), f), k.snapshot(t.Context(), f)
	defer m.Close()
	must(t, k.remove())
	e := &entry{Path: "f"}
	must(t, copier.keepState(t.Context(), e, m))
	if want := "backup: f: its state is not kept: "; e.Kept != nil || !strings.HasPrefix(said.String(), want) {
		t.Errorf("%+v, %q", e.Kept, &said)
	}
	must(t, old.Close())
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	must(t, err)
	defer out.Close()
	ch := &changes{file: out, m: m, progress: func(int) {}}
	if whole := (*wholeError)(nil); !errors.As(ch.write(t.Context(), old), &whole) {
		t.Error("the error of reading is not a reason to copy the whole file")
	}
}

// A manifest that says other things than the state, or has hashes of another number of blocks, makes a
// file be copied whole.
func TestStateInManifest(t *testing.T) {
	for what, change := range map[string]func(e *entry){
		"filesystem":     func(e *entry) { e.Kept.Filesystem++ },
		"inode":          func(e *entry) { e.Kept.Inode++ },
		"time of change": func(e *entry) { e.Kept.ChangeTime = e.Kept.ChangeTime.Add(time.Nanosecond) },
		"size of both":   func(e *entry) { e.Kept.Size--; e.Size-- },
		"size of state":  func(e *entry) { e.Kept.Size-- },
		"blocks":         func(e *entry) { e.Blocks = e.Blocks[1:] },
		"name":           func(e *entry) { e.Kept.Name = "../" + filepath.Base(e.Kept.Name) },
		"no state":       func(e *entry) { e.Kept = nil },
	} {
		t.Run(what, func(t *testing.T) {
			mounttest.Leaks(t)
			c, _ := newSmallChain(t)
			manifest := filepath.Join(c.copied(0), manifestName)
			text, err := os.ReadFile(manifest)
			must(t, err)
			lines := bytes.SplitAfter(text, []byte("\n"))
			var e entry
			must(t, json.Unmarshal(lines[2], &e))
			change(&e)
			if lines[2], err = json.Marshal(&e); err != nil {
				t.Fatal(err)
			}
			must(t, os.WriteFile(manifest, bytes.Join(lines, nil), 0o600))
			state := c.state(t)
			r := programtest.Call(t, run, c.args()...)
			if r.Status != 0 || !strings.Contains(r.Out, "; 1 by copy of a reflink; ") {
				t.Errorf("%+v", r)
			}
			c.verify(t, 1)
			if _, err := os.Stat(state); err != nil {
				t.Errorf("a state that the manifest does not describe was removed: %v", err)
			}
		})
	}
}

// A directory that another user may write to is not used, nor is such a copy, and no state of a copy
// that failed stays. The directory of the states is no part of the copy.
func TestStatesOfOthers(t *testing.T) {
	mounttest.Leaks(t)
	c, _ := newSmallChain(t)
	manifest := filepath.Join(c.copied(0), manifestName)
	for name, what := range map[string]string{
		c.keep: "no state is kept there", c.copied(0): "not used by -since", manifest: "not used by -since",
	} {
		fi, err := os.Stat(name)
		must(t, err)
		if name == c.keep && fi.Mode().Perm() != 0o700 {
			t.Errorf("%s made with mode %v", name, fi.Mode())
		}
		must(t, os.Chmod(name, fi.Mode()|0o020))
		programtest.Call(t, run, c.args()...).Want(t, 1, "", what)
		must(t, os.Chmod(name, fi.Mode()))
		if mounttest.Can("CAP_CHOWN") {
			must(t, os.Chown(name, 1000, -1))
			programtest.Call(t, run, c.args()...).Want(t, 1, "", what)
			must(t, os.Chown(name, 0, -1))
		}
	}
	if fi, err := os.Stat(c.state(t)); err != nil || fi.Mode() != 0o600 {
		t.Errorf("mode of a state: %v, %v", fi.Mode(), err)
	}
	mounttest.WantNames(t, c.copies, "copy0")
	programtest.Call(t, run, "-since", c.copied(0), c.source, c.copied(1)).Want(t, 2, "", "-since wants -keep")
	programtest.Call(t, run, "-keep", c.keep, "-verify", c.copied(0)).Want(t, 2, "", "-verify takes neither")
	programtest.Call(t, run, "-keep", c.source, c.source, c.copied(1)).Want(t, 1, "", "-keep is the source")
	for _, missing := range []string{c.keep, filepath.Join(c.keep, "no")} {
		programtest.Call(t, run, "-keep", filepath.Join(c.keep, "new"), "-since", missing, c.source, c.copied(1)).
			Want(t, 1, "", "no such file")
	}
	must(t, os.Remove(manifest))
	programtest.Call(t, run, c.args()...).Want(t, 1, "", "not a complete copy")
	mounttest.WantNames(t, c.source, "f")
	mounttest.WantNames(t, c.copies, "copy0")
	c.state(t)

	inside := newChain(t, mounttest.Dir(t, mounttest.Reflinks), mounttest.Dir(t, mounttest.Memory))
	inside.keep = filepath.Join(inside.source, "keep")
	programtest.Put(t, inside.source, "f", string(randomBytes(1, editedSize)))
	for i := range 2 {
		programtest.Call(t, run, inside.args()...).Want(t, 0, "1 file, ", "")
		mounttest.WantNames(t, filepath.Join(inside.copied(i), treeName), "f")
		inside.n++
	}
	// On another filesystem than the source nothing is kept, and nothing is copied there.
	inside.keep = filepath.Join(inside.copies, "keep")
	programtest.Call(t, run, inside.args()...).Want(t, 0, "; 0 states kept", "f: copied whole")
}
