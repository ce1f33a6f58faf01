package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/examples/internal/beside"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func TestMain(m *testing.M) { mounttest.Main(m) }

// want fails the test if the file holds anything else.
func want(t *testing.T, name, content string) {
	t.Helper()
	if b, err := os.ReadFile(name); err != nil || string(b) != content {
		t.Errorf("%s: %.100q, %v, want %.100q", name, b, err, content)
	}
}

func TestBinary(t *testing.T) {
	exe := programtest.Build(t)
	name := programtest.Put(t, t.TempDir(), "f", "one two")
	out, err := exec.CommandContext(t.Context(), exe, "-find", "two", "-replace", "three", name).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "f: changed in 1 place, 5 bytes written of 0.0 MiB; ") {
		t.Errorf("%v: %s", err, out)
	}
	want(t, name, "one three")
	programtest.WantHelp(t, exe, "usage: edit")
}

func TestEdit(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		for i, x := range []struct {
			args   []string
			before string
			after  string
			out    string
		}{
			{[]string{"-find", "b", "-replace", "X"}, "abcb", "aXcX", "2 places, 2 bytes written"},
			{[]string{"-v", "-find", "b", "-replace", "XYZ"}, "abcb", "aXYZcXYZ", "1\n3\n"},
			{[]string{"-find", "b", "-replace", ""}, "abcb", "ac", "2 places, 1 byte written"},
			{[]string{"-find", "a", "-replace", ""}, "aaa", "", "3 places, 0 bytes written"},
			{[]string{"-find", "aa", "-replace", "b"}, "aaaaa", "bba", "2 places, 3 bytes written"},
			{[]string{"-x", "-find", "0d0A", "-replace", "0a"}, "x\r\ny\r\n", "x\ny\n", "2 places"},
			{[]string{"-at", "2", "-write", "XY"}, "abcd", "abXY", "1 place, 2 bytes written"},
			{[]string{"-x", "-at", "0x2", "-write", "00ff00"}, "abcd", "ab\x00\xff\x00", "1 place, 3 bytes written"},
			{[]string{"-at", "4", "-write", "e"}, "abcd", "abcde", ""},
			{[]string{"-at", "0", "-write", "e"}, "", "e", ""},
			{[]string{"-n", "-find", "b", "-replace", "XYZ"}, "abcb", "abcb", "1\n3\n"},
			{[]string{"-n", "-at", "1", "-write", "X"}, "abcb", "abcb", "1 place,"},
			{[]string{"-check", "-find", "b", "-replace", "X"}, "abcb", "aXcX", ""},
		} {
			name := programtest.Put(t, dir, fmt.Sprint(i), x.before)
			programtest.Call(t, run, append(x.args, name)...).Want(t, 0, x.out, "")
			want(t, name, x.after)
		}
		left, _ := os.ReadDir(dir)
		if len(left) != 13 {
			t.Errorf("%d files left", len(left))
		}
	})
}

// Whatever is replaced by whatever, it becomes what bytes.ReplaceAll makes of it, with chunks of
// any size, down to one byte.
func TestLikeReplaceAll(t *testing.T) {
	programtest.NeedLinux(t)
	defer func(old int) { chunk = old }(chunk)
	name := filepath.Join(t.TempDir(), "f")
	r := rand.New(rand.NewPCG(1, 2))
	word := func(letters string, max int) []byte {
		b := make([]byte, r.IntN(max+1))
		for i := range b {
			b[i] = letters[r.IntN(len(letters))]
		}
		return b
	}
	for i := range mounttest.Count(300, 3000, 100000) {
		chunk = 1 + r.IntN(20)
		e := edit{find: append(word("ab", 3), 'a'), replace: word("abX", 9), shown: io.Discard}
		before := word("ab", 100)
		if i%50 == 0 {
			chunk, before = 4096, word("ab", 50_000)
		}
		if err := os.WriteFile(name, before, 0o644); err != nil {
			t.Fatal(err)
		}
		m, err := snapshot.OpenMut(name)
		if err != nil {
			t.Fatal(err)
		}
		res, err := e.replaceAll(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		got, wanted := make([]byte, m.Size()), bytes.ReplaceAll(before, e.find, e.replace)
		_, err = m.ReadAt(got, 0)
		if count := bytes.Count(before, e.find); err != nil || res.count != count || !bytes.Equal(got, wanted) {
			t.Fatalf("chunk %d, %q for %q in %q: %d times, %q, want %d times, %q, %v", chunk, e.replace, e.find, before, res.count, got, count, wanted, err)
		}
		_ = m.Close()
	}
}

// An edit of the same length leaves the rest of the file shared with the old version, where there
// are reflinks: both together take no more room than one.
func TestSharesTheRest(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		content := make([]byte, 48<<20)
		_, _ = rand.NewChaCha8([32]byte{}).Read(content)
		copy(content[1<<20:], "needle in a haystack")
		copy(content[47<<20:], "needle in a haystack")
		name := programtest.Put(t, dir, "f", string(content))
		if err := os.Link(name, name+".old"); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil { // what is not written may not count yet
			t.Fatal(err)
		}
		before := room(t, dir)
		programtest.Call(t, run, "-find", "needle in a haystack", "-replace", "an old sewing table!", name).Want(t, 0, "2 places, 40 bytes written of 48.0 MiB; reflink", "")
		if lost := before - room(t, dir); lost > 8<<20 {
			t.Errorf("a change of 40 bytes took %d of room", lost)
		}
		copy(content[1<<20:], "an old sewing table!")
		copy(content[47<<20:], "an old sewing table!")
		want(t, name, string(content))
	})
}

// A full disk is an error, and the file is as it was.
func TestDiskFull(t *testing.T) {
	dir := mounttest.Fresh(t, mounttest.Memory, 1<<20)
	content := strings.Repeat("needle\n", 60_000)
	name := programtest.Put(t, dir, "f", content)
	programtest.Call(t, run, "-find", "needle", "-replace", "needles and pins", name).Want(t, 1, "", "no space left")
	want(t, name, content)
	programtest.Call(t, run, "-find", "needle", "-replace", "pin", name).Want(t, 0, "60000 places", "")
	want(t, name, strings.ReplaceAll(content, "needle", "pin"))
}

func TestInPlace(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := programtest.Put(t, dir, "f", "abcb")
		link := filepath.Join(dir, "link")
		if err := os.Link(name, link); err != nil {
			t.Fatal(err)
		}
		r := programtest.Call(t, run, "-inplace", "-find", "b", "-replace", "X", name)
		switch {
		case mounttest.Has(dir, mounttest.Reflinks):
			r.Want(t, 0, "reflink", "")
			want(t, link, "aXcX")
			programtest.Call(t, run, "-inplace", "-find", "X", "-replace", "", name).Want(t, 1, "", "cannot shrink in place")
			want(t, link, "aXcX")
		case mounttest.Has(dir, mounttest.NoReflinks):
			r.Want(t, 1, "", "in place")
			want(t, link, "abcb")
		}
	})
}

// With -check, what somebody else writes between opening and committing is not undone.
func TestCheck(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := programtest.Put(t, dir, "f", "abcb")
		theirs := func() {
			if err := programtest.Replace(name, "theirs b"); err != nil {
				t.Error(err)
			}
		}
		args := []string{"-v", "-find", "b", "-replace", "X", name}
		programtest.CallWith(t, run, "", theirs, append([]string{"-check"}, args...)...).Want(t, 1, "", "conflicting change")
		want(t, name, "theirs b")
		programtest.CallWith(t, run, "", theirs, args...).Want(t, 0, "", "")
		want(t, name, "theirs X")
	})
}

func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	name := programtest.Put(t, dir, "f", "abcd")
	for _, x := range []struct {
		args   []string
		status int
		err    string
	}{
		{nil, 2, "want -find and -replace, or -at and -write"},
		{[]string{name}, 2, "want -find and -replace, or -at and -write"},
		{[]string{"-find", "a", "-replace", "b"}, 2, "want one file after the flags, not 0"},
		{[]string{"-find", "a", "-replace", "b", name, name}, 2, "want one file after the flags, not 2"},
		{[]string{"-find", "a", name}, 2, "-find needs -replace"},
		{[]string{"-write", "a", name}, 2, "-write needs -at"},
		{[]string{"-find", "a", "-replace", "b", "-at", "1", name}, 2, "do not go with"},
		{[]string{"-find", "", "-replace", "b", name}, 2, "-find: no bytes"},
		{[]string{"-at", "1", "-write", "", name}, 2, "-write: no bytes"},
		{[]string{"-x", "-find", "abc", "-replace", "", name}, 2, "odd length hex"},
		{[]string{"-x", "-find", "ab", "-replace", "xx", name}, 2, "invalid byte"},
		{[]string{"-at", "x", "-write", "a", name}, 2, "invalid value"},
		{[]string{"-at", "5", "-write", "a", name}, 1, "offset 5 is not within the 4 bytes"},
		{[]string{"-at", "-1", "-write", "a", name}, 1, "offset -1 is not within"},
		{[]string{"-n", "-at", "5", "-write", "a", name}, 1, "offset 5"},
		{[]string{"-find", "x", "-replace", "y", name}, 1, "f: not found; nothing was changed"},
		{[]string{"-n", "-find", "x", "-replace", "y", name}, 1, "not found"},
		{[]string{"-find", "x", "-replace", "y", programtest.Put(t, dir, "empty", "")}, 1, "not found"},
		{[]string{"-find", "x", "-replace", "y", dir}, 1, "is a directory"},
		{[]string{"-find", "x", "-replace", "y", filepath.Join(dir, "missing")}, 1, "no such file"},
	} {
		r := programtest.Call(t, run, x.args...)
		if r.Want(t, x.status, "", x.err); r.Out != "" {
			t.Errorf("%q: %q", x.args, r.Out)
		}
		want(t, name, "abcd")
	}
}

// An interrupted edit changes nothing.
func TestInterrupted(t *testing.T) {
	programtest.NeedLinux(t)
	name := programtest.Put(t, t.TempDir(), "f", "abcb")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := edit{find: []byte("b"), replace: []byte("XX"), shown: io.Discard}
	if err := e.do(ctx, snapshot.Config{}, name); err == nil {
		t.Error("no error")
	}
	want(t, name, "abcb")
	m, err := snapshot.OpenMut(name)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := e.change(ctx, m); !errors.Is(err, context.Canceled) {
		t.Errorf("change: %v", err)
	}
}

// Whoever reads a file while it is edited and replaced finds one of the versions that there can
// be, whole; and the edits succeed.
func TestReplacedMeanwhile(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		a, b := strings.Repeat("a needle in a haystack\n", 4000), strings.Repeat("and needle after needle\n", 5000)
		versions := []string{a, b, strings.ReplaceAll(a, "needle", "pin"), strings.ReplaceAll(b, "needle", "pin")}
		name := programtest.Put(t, dir, "f", a)
		replace := func(i int) error {
			if b, err := os.ReadFile(name); err != nil || !slices.Contains(versions, string(b)) {
				return fmt.Errorf("%d bytes that are no version, %v", len(b), err) //nolint:errorlint // it may be nil
			}
			return programtest.Replace(name, versions[i%2])
		}
		beside.Do(t, mounttest.Count(10, 100, 5000), replace, func(int) {
			r := programtest.Call(t, run, "-find", "needle", "-replace", "pin", name)
			if r.Status != 0 && !strings.Contains(r.Err, "not found") { // the one before is still there
				t.Fatalf("%+v", r)
			}
		})
	})
}

// A file that is overwritten and truncated while it is edited: the edit is that of what was
// opened.
func TestDestroyedMeanwhile(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		content := strings.Repeat("a needle in a haystack\n", 200_000)
		name := programtest.Put(t, dir, "f", content)
		programtest.CallWith(t, run, "", func() { programtest.Destroy(t, name) }, "-v", "-find", "needle", "-replace", "nothing", name).Want(t, 0, "", "")
		want(t, name, strings.ReplaceAll(content, "needle", "nothing"))
	})
}

// fullDisk is standard output on a full disk.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// That -n or -v could not show what they are to show is an error, and nothing is changed. What was
// changed is not a failure.
func TestOutputLost(t *testing.T) {
	programtest.NeedLinux(t)
	name := programtest.Put(t, t.TempDir(), "f", "abc")
	for _, x := range []struct {
		args []string
		want int
	}{
		{[]string{"-n", "-find", "b", "-replace", "x"}, 1},
		{[]string{"-n", "-at", "1", "-write", "x"}, 1},
		{[]string{"-v", "-find", "b", "-replace", "x"}, 1},
		{[]string{"-v", "-at", "1", "-write", "x"}, 1},
		{[]string{"-at", "1", "-write", "x"}, 0},
	} {
		var errs strings.Builder
		status := program.Call(t.Context(), "edit", run, append(x.args, name), program.Std{Out: fullDisk{}, Err: &errs})
		b, err := os.ReadFile(name)
		if want := map[int]string{0: "axc", 1: "abc"}[x.want]; err != nil || status != x.want || string(b) != want {
			t.Errorf("%q: %d, %q, %q, %v", x.args, status, b, &errs, err)
		}
	}
}
