package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func TestMain(m *testing.M) { mounttest.Main(m) }

func sameTree(t *testing.T, got, want map[string]string) {
	t.Helper()
	names := maps.Clone(got)
	maps.Copy(names, want)
	for name := range names {
		if got[name] != want[name] {
			t.Errorf("%q: %.100q, want %.100q", name, got[name], want[name])
		}
	}
}

func TestBinary(t *testing.T) {
	exe := programtest.Build(t)
	dir := t.TempDir()
	copied := filepath.Join(dir, "copy")
	for _, args := range [][]string{{makeTree(t, dir), copied}, {"-verify", copied}} {
		if out, err := exec.CommandContext(t.Context(), exe, args...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}
	must(t, os.Chmod(filepath.Join(copied, treeName, "closed"), 0o755)) // for the clean-up
	programtest.WantHelp(t, exe, "usage: backup")
}

func TestBackup(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		tree, copied := makeTree(t, dir), filepath.Join(dir, "copy")
		before := content(t, tree)
		must(t, syscall.Mkfifo(filepath.Join(tree, "fifo"), 0o666))
		must(t, os.Chtimes(tree, modified, modified))
		how, root := "; 12 by ", mounttest.Can("CAP_DAC_OVERRIDE") // else a directory is closed
		switch {
		case mounttest.Has(dir, mounttest.Reflinks) && root:
			how = "; 12 by reflink; "
		case mounttest.Has(dir, mounttest.Reflinks):
			how = "; 11 by reflink; 1 by copy of a reflink; "
		case mounttest.Has(dir, mounttest.Leases) && root:
			how = "; 12 by copy of a leased copy; "
		}
		r := programtest.Call(t, run, tree, copied)
		r.Want(t, 0, how, "fifo: left out: p")
		r.Want(t, 0, "; 1 special file left out, 0 files lacking\n", "fifo: left out: p")
		sameTree(t, content(t, filepath.Join(copied, treeName)), before)
		must(t, os.Remove(filepath.Join(tree, "fifo")))
		must(t, os.Chtimes(tree, modified, modified))
		sameTree(t, content(t, tree), before)
		programtest.Call(t, run, "-verify", copied).Want(t, 0, "as in the manifest", "")
		programtest.Call(t, run, tree, copied).Want(t, 1, "", "copy: file exists")
		if b, err := os.ReadFile(filepath.Join(copied, manifestName)); err != nil || !bytes.Contains(b, []byte(`"\"odd\\xff\\n\""`)) {
			t.Errorf("%v: %s", err, b)
		}
		must(t, os.Chmod(filepath.Join(copied, treeName, "closed"), 0o755)) // for the clean-up
	})
}

// From one filesystem to another, data are copied, of a snapshot, which of two large files is a
// reflink; and sparse files stay sparse.
func TestAcross(t *testing.T) {
	from, to := mounttest.Dir(t, mounttest.Reflinks), mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks)
	mounttest.Leaks(t)
	tree, copied := makeTree(t, from), filepath.Join(to, "copy")
	programtest.Call(t, run, tree, copied).Want(t, 0, "; 2 by copy of a reflink; 10 by copy of a leased copy; ", "")
	sameTree(t, content(t, filepath.Join(copied, treeName)), content(t, tree))
	fi, err := os.Stat(filepath.Join(copied, treeName, "sparse"))
	must(t, err)
	if n := fi.Sys().(*syscall.Stat_t).Blocks * 512; n > 1<<20 {
		t.Errorf("a sparse file takes %d bytes", n)
	}
	must(t, os.Chmod(filepath.Join(copied, treeName, "closed"), 0o755))
}

func TestOwners(t *testing.T) {
	mounttest.Need(t, "CAP_CHOWN")
	mounttest.Each(t, func(t *testing.T, dir string) {
		tree, copied := filepath.Join(dir, "source"), filepath.Join(dir, "copy")
		must(t, os.Mkdir(tree, 0o755))
		programtest.Put(t, tree, "f", "x")
		must(t, os.Symlink("f", filepath.Join(tree, "l")))
		for i, name := range []string{"", "f", "l"} {
			must(t, os.Lchown(filepath.Join(tree, name), 1000+i, 2000+i))
		}
		must(t, os.Chmod(filepath.Join(tree, "f"), 0o755|fs.ModeSetuid|fs.ModeSetgid))
		programtest.Call(t, run, tree, copied).Want(t, 0, "1 file, ", "")
		for i, name := range []string{"", "f", "l"} {
			fi, err := os.Lstat(filepath.Join(copied, treeName, name))
			must(t, err)
			if st := fi.Sys().(*syscall.Stat_t); int(st.Uid) != 1000+i || int(st.Gid) != 2000+i {
				t.Errorf("%q belongs to %d:%d", name, st.Uid, st.Gid)
			}
			if name == "f" && fi.Mode() != 0o755|fs.ModeSetuid|fs.ModeSetgid {
				t.Errorf("mode %v", fi.Mode())
			}
		}
	})
}

func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	tree := makeTree(t, dir)
	file := programtest.Put(t, dir, "file", "x")
	must(t, os.Symlink(tree, filepath.Join(dir, "alias")))
	for _, x := range []struct {
		args   []string
		status int
		err    string
	}{
		{nil, 2, "want a source and a destination"},
		{[]string{tree}, 2, "want a source and a destination"},
		{[]string{"-verify"}, 2, "-verify wants one copy, not 0"},
		{[]string{"-jobs", "0", tree, "x"}, 2, "-jobs"},
		{[]string{"-x"}, 2, "not defined: -x"},
		{[]string{filepath.Join(dir, "missing"), filepath.Join(dir, "x")}, 1, "no such file"},
		{[]string{file, filepath.Join(dir, "x")}, 1, "not a directory"},
		{[]string{tree, filepath.Join(dir, "no", "x")}, 1, "no such file"},
		{[]string{tree, file}, 1, "file exists"},
		{[]string{tree, filepath.Join(tree, "d", "copy")}, 1, "inside the source"},
		{[]string{tree, filepath.Join(dir, "alias", "copy")}, 1, "inside the source"},
		{[]string{tree, filepath.Join(tree, "d", "up", "copy")}, 1, "inside the source"},
		{[]string{tree, filepath.Join(tree, "link", "copy")}, 1, "not a directory"}, // it leads to a file
		{[]string{"-verify", filepath.Join(dir, "missing")}, 1, "not a complete copy"},
	} {
		programtest.Call(t, run, x.args...).Want(t, x.status, "", x.err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// A disk that is full ends it, and an interrupt; and nothing is left.
func TestGivenUp(t *testing.T) {
	tree := makeTree(t, t.TempDir())
	small := mounttest.Fresh(t, mounttest.Memory, 200<<10)
	programtest.Call(t, run, tree, filepath.Join(small, "copy")).Want(t, 1, "", "no space left")
	must(t, syscall.Mkfifo(filepath.Join(tree, "fifo"), 0o666))
	ctx, cancel := context.WithCancelCause(t.Context())
	var errs strings.Builder
	said := writerFunc(func(p []byte) (int, error) {
		cancel(fmt.Errorf("interrupted"))
		return errs.Write(p)
	})
	dir := t.TempDir()
	status := program.Call(ctx, "backup", run, []string{tree, filepath.Join(dir, "copy")}, program.Std{Err: said})
	if status != 1 || !strings.Contains(errs.String(), "backup: interrupted\n") {
		t.Errorf("status %d, %q", status, &errs)
	}
	for _, dir := range []string{small, dir} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

// What an ordinary user cannot read is left out and said; the rest is copied, from a directory
// that he cannot write to, too.
func TestUnreadable(t *testing.T) {
	var dir string
	if !mounttest.IsUserChild() {
		dir = makeTree(t, mounttest.Dir(t, mounttest.Reflinks)) // "secret" is root's alone
		must(t, os.Chmod(filepath.Join(dir, "d"), 0o700))
	}
	mounttest.AsUser(t, func(t *testing.T) {
		tree, copied := os.Getenv("TREE"), filepath.Join(mounttest.Dir(t, mounttest.Reflinks), "copy")
		r := programtest.Call(t, run, tree, copied)
		r.Want(t, 3, ", 2 files lacking", "d: left out: ") // what is in d
		r.Want(t, 3, "2 by copy of a reflink; 7 by copy of a compared copy", "secret: left out: ")
		programtest.Call(t, run, "-verify", copied).Want(t, 0, "as in the manifest", "")
		must(t, os.Chmod(filepath.Join(copied, treeName, "closed"), 0o755))
	}, "TREE="+dir)
}
