package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// An index that another user owns or may write to is neither used nor replaced, nor one in such a
// directory.
func TestIndexOfOthers(t *testing.T) {
	for what, x := range map[string]struct {
		change func(dir, ix string) error
		err    string
	}{
		"group may write to file": {func(_, ix string) error { return os.Chmod(ix, 0o664) }, "others may write to the file"},
		"all may write to file":   {func(_, ix string) error { return os.Chmod(ix, 0o646) }, "others may write to the file"},
		"group may write to dir":  {func(dir, _ string) error { return os.Chmod(dir, 0o775) }, "others may write to its directory"},
		"like /tmp":               {func(dir, _ string) error { return os.Chmod(dir, 0o777|os.ModeSticky) }, "others may write to its directory"},
		"another's file":          {func(_, ix string) error { return os.Chown(ix, 1234, 0) }, "the file belongs to user 1234"},
		"another's dir":           {func(dir, _ string) error { return os.Chown(dir, 1234, 0) }, "its directory belongs to user 1234"},
		"another's empty file": {func(_, ix string) error {
			if err := os.Truncate(ix, 0); err != nil {
				return err
			}
			return os.Chown(ix, 1234, 0)
		}, "the file belongs to user 1234"},
	} {
		t.Run(what, func(t *testing.T) {
			if strings.HasPrefix(what, "another's") {
				mounttest.Need(t, "CAP_CHOWN")
			}
			dir := private(t)
			name, ix := programtest.Put(t, dir, "a.tar", archive(t, tar.FormatPAX, few...)), filepath.Join(dir, "ix")
			programtest.Call(t, run, "-i", ix, name).Want(t, 0, "", "")
			if err := x.change(dir, ix); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(ix)
			for _, args := range [][]string{{"-i", ix, name}, {"-i", ix, name, "a"}, {"-i", ix, "-l", name}} {
				r := programtest.Call(t, run, args...)
				if r.Want(t, 1, "", "ix: not used as an index: "+x.err); r.Out != "" {
					t.Errorf("%q: %q", args, r.Out)
				}
			}
			if now, err := os.Lstat(ix); err != nil || !os.SameFile(before, now) || now.Size() != before.Size() {
				t.Errorf("the index was replaced: %v", err)
			}
		})
	}
}

// An index of root is used by all, and one that a link of the caller leads to.
func TestTrustedIndex(t *testing.T) {
	var dir string
	if !mounttest.IsUserChild() {
		dir = mounttest.Dir(t, mounttest.Disk)
		name, ix := programtest.Put(t, dir, "a.tar", archive(t, tar.FormatPAX, few...)), filepath.Join(dir, "ix")
		old := syscall.Umask(0)
		r := programtest.Call(t, run, "-i", ix, name)
		syscall.Umask(old)
		r.Want(t, 0, "", "")
		if fi, err := os.Stat(ix); err != nil || fi.Mode() != 0o644 {
			t.Fatalf("without a umask: %v, %v", fi, err)
		}
		link := filepath.Join(private(t), "link")
		if err := os.Symlink(ix, link); err != nil {
			t.Fatal(err)
		}
		programtest.Call(t, run, "-i", link, name, "a").Want(t, 0, "first\n", "")
	}
	mounttest.AsUser(t, func(t *testing.T) {
		dir := os.Getenv("DIR")
		programtest.Call(t, run, "-i", filepath.Join(dir, "ix"), filepath.Join(dir, "a.tar"), "a").Want(t, 0, "first\n", "")
	}, "DIR="+dir)
}

// A FIFO in place of a directory or of an index is an error at once.
func TestIndexIsFIFO(t *testing.T) {
	dir := private(t)
	name, fifo := programtest.Put(t, dir, "a.tar", archive(t, tar.FormatPAX, few...)), filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(time.Minute, func() { panic("tarindex waits for a FIFO") }).Stop()
	programtest.Call(t, run, "-i", filepath.Join(fifo, "ix"), name).Want(t, 1, "", "not a directory")
	programtest.Call(t, run, "-i", fifo, name).Want(t, 1, "", "FIFO")
	programtest.Call(t, run, "-l", fifo).Want(t, 1, "", "FIFO")
}

// paxHeaders returns the headers of a member of size 0 with extended records.
func paxHeaders(t *testing.T, records ...string) []byte {
	t.Helper()
	var body strings.Builder
	for i := 0; i < len(records); i += 2 {
		line := fmt.Sprintf(" %s=%s\n", records[i], records[i+1])
		n := len(line)
		for len(fmt.Sprint(n))+len(line) != n {
			n = len(fmt.Sprint(n)) + len(line)
		}
		fmt.Fprint(&body, n, line)
	}
	b := []byte(archive(t, tar.FormatUSTAR, "pax", body.String(), "data", ""))
	b[156] = tar.TypeXHeader
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// A member of some hundred bytes that claims 8 EiB of holes is listed, and not written.
func TestLimit(t *testing.T) {
	dir := private(t)
	sparse := paxHeaders(t, "GNU.sparse.major", "0", "GNU.sparse.minor", "1", "GNU.sparse.name", "s",
		"GNU.sparse.size", fmt.Sprint(int64(math.MaxInt64)), "GNU.sparse.numblocks", "0", "GNU.sparse.map", "")
	name := programtest.Put(t, dir, "sparse.tar", string(sparse))
	programtest.Call(t, run, "-l", name).Want(t, 0, "9223372036854775807  2026-02-03 04:05:06  s\n", "")
	const refused = "nothing is written: the contents have 9223372036854775807 bytes"
	if r := programtest.Call(t, run, name, "s"); r.Out != "" {
		t.Errorf("%d bytes were written", len(r.Out))
	} else {
		r.Want(t, 1, "", refused+", the limit is 1073741824 (-limit sets another)")
	}
	programtest.Call(t, run, "-limit", fmt.Sprint(int64(math.MaxInt64>>20)), name, "s").Want(t, 1, "", refused)

	large := programtest.Put(t, dir, "large.tar", archive(t, tar.FormatPAX, "a", strings.Repeat("x", 1<<20), "b", "x"))
	programtest.Call(t, run, "-limit", "1", large, "a", "b").Want(t, 1, "", "nothing is written")
	programtest.Call(t, run, "-limit", "1", large, "a").Want(t, 0, "xx", "")
}

// No name in an archive makes a line that looks like a message, or sends a terminal commands.
func TestHostileNames(t *testing.T) {
	dir := private(t)
	const name = "\x1b[2Jx\nprog: all members verified"
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{{Name: name, Typeflag: tar.TypeFifo}, {Name: "link", Linkname: name, Typeflag: tar.TypeLink}} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	tarball := programtest.Put(t, dir, "\x1b[2J", b.String())
	for _, args := range [][]string{{"-l", tarball}, {tarball, name, "link", name + "?"},
		{"-i", filepath.Join(dir, name, "ix"), tarball}} {
		r := programtest.Call(t, run, args...)
		if all := r.Out + r.Err; strings.Contains(all, "\x1b") || strings.Contains(all, "\nprog: all") || !strings.Contains(all, `\x1b`) {
			t.Errorf("%q: %q", args, all)
		}
	}
}

// The index is where the kernel finds its name: ".." after a symbolic link is the parent of what
// the link leads to. Its directory is looked at, and no other.
func TestIndexBehindLink(t *testing.T) {
	dir := private(t)
	if err := os.MkdirAll(filepath.Join(dir, "other", "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "other"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("other/below", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	name := programtest.Put(t, dir, "a.tar", archive(t, tar.FormatPAX, few...))
	for range 2 {
		programtest.Call(t, run, "-i", dir+"/link/../ix", name).Want(t, 0, "", "")
		mounttest.WantNames(t, filepath.Join(dir, "other"), "below", "ix")
		mounttest.WantNames(t, dir, "a.tar", "link", "other")
	}
}
