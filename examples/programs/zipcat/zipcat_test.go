package main

import (
	"archive/zip"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/examples/internal/beside"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func TestMain(m *testing.M) { mounttest.Main(m) }

// many returns members of version v, some MiB that do not compress.
func many(v byte) (members []member, all string) {
	r := rand.NewChaCha8([32]byte{v})
	for i := range 40 {
		content := make([]byte, 20_000)
		_, _ = r.Read(content)
		members = append(members, member{fmt.Sprint("m", i), string(content), 0})
		all += string(content)
	}
	return members, all
}

func TestBinary(t *testing.T) {
	exe := programtest.Build(t)
	name := programtest.Put(t, t.TempDir(), "a.zip", archive(t, zip.Deflate, few...))
	out, err := exec.CommandContext(t.Context(), exe, name).CombinedOutput()
	if err != nil || string(out) != "first\nsecond\nthird\n" {
		t.Errorf("%v: %s", err, out)
	}
	programtest.WantHelp(t, exe, "usage: zipcat")
	cmd := exec.CommandContext(t.Context(), exe, name+".missing")
	out, err = cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.HasPrefix(string(out), "zipcat: open ") {
		t.Errorf("missing: %v: %s", err, out)
	}
}

func TestListAndSelect(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := programtest.Put(t, dir, "a.zip", archive(t, zip.Deflate, few...))
		programtest.Call(t, run, "-l", name).Want(t, 0, "           6  2026-02-03 04:05:06  a.txt\n", "")
		for pattern, want := range map[string]string{
			"a.txt":   "first\n",
			"*.txt":   "first\n",
			"d/*.txt": "second\n",
			"d":       "second\nthird\n",
			"d/e/":    "third\n",
			"*/*/*":   "third\n",
		} {
			if r := programtest.Call(t, run, name, pattern); r.Status != 0 || r.Out != want {
				t.Errorf("%s: %+v", pattern, r)
			}
		}
		r := programtest.CallWith(t, run, "d/e\n\na.txt\n", nil, name, "-")
		if r.Want(t, 0, "", ""); r.Out != "first\nthird\n" {
			t.Errorf("patterns from standard input: %q", r.Out)
		}
		programtest.CallWith(t, run, "\n", nil, name, "-").Want(t, 1, "", "no patterns")
		programtest.Call(t, run, name, "a.txt", "x*").Want(t, 1, "first\n", `no member matches "x*"`)
	})
}

func TestExtract(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := programtest.Put(t, dir, "a.zip", archive(t, zip.Deflate, append([]member{{name: "empty/"}}, few...)...))
		out := filepath.Join(dir, "new", "out")
		programtest.Call(t, run, "-d", out, name).Want(t, 0, "", "")
		for _, m := range few {
			path := filepath.Join(out, m.name)
			if b, err := os.ReadFile(path); err != nil || string(b) != m.content {
				t.Errorf("%s: %q, %v", m.name, b, err)
			}
			if fi, err := os.Stat(path); err != nil || !fi.ModTime().Equal(modified) || fi.Mode() != 0o644 {
				t.Errorf("%s: %v %v, %v", m.name, fi.ModTime(), fi.Mode(), err)
			}
		}
		if fi, err := os.Stat(filepath.Join(out, "empty")); err != nil || !fi.IsDir() {
			t.Errorf("empty: %v", err)
		}
		programtest.Put(t, out, "a.txt", "mine")
		programtest.Call(t, run, "-d", out, name, "a.txt").Want(t, 1, "", "a.txt: exists, and is not replaced")
		if b, _ := os.ReadFile(filepath.Join(out, "a.txt")); string(b) != "mine" {
			t.Errorf("a file that was there became %q", b)
		}
	})
}

// Whatever the names in the archive, nothing is written outside the directory, and no symbolic
// link is made or followed.
func TestExtractStaysInside(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"away": dir, "escape.txt": filepath.Join(dir, "escaped.txt")} {
		if err := os.Symlink(to, filepath.Join(out, link)); err != nil {
			t.Skip(err)
		}
	}
	bad := []member{
		{"../up.txt", "x", 0}, {"/" + filepath.ToSlash(dir) + "/abs.txt", "x", 0}, {"d/../../up2.txt", "x", 0}, {`..\up3.txt`, "x", 0},
		{"./dot.txt", "x", 0}, {"", "x", 0}, {"away/through.txt", "x", 0}, {"escape.txt", "x", 0},
		{"link", "/etc", fs.ModeSymlink}, {"fifo", "", fs.ModeNamedPipe}, {"a//b", "x", 0},
	}
	name := programtest.Put(t, dir, "a.zip", archive(t, zip.Store, append(bad, few...)...))
	r := programtest.Call(t, run, "-d", out, name)
	r.Want(t, 1, "", "../up.txt: not extracted")
	if n := strings.Count(r.Err, "\n"); n != len(bad) {
		t.Errorf("%d complaints about %d members:\n%s", n, len(bad), r.Err)
	}
	var got []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		got = append(got, rel)
		return err
	})
	want := []string{".", "a.zip", "out", "out/a.txt", "out/away", "out/d", "out/d/b.txt", "out/d/e", "out/d/e/c.txt", "out/escape.txt"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\nthere is %q\nwant     %q", err, got, want)
	}
}

func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	good := archive(t, zip.Store, few...)
	torn := strings.Replace(good, "second", "sekond", 1)
	for _, x := range []struct {
		args   []string
		status int
		err    string
	}{
		{nil, 2, "want an archive"},
		{[]string{"-x"}, 2, "not defined: -x"},
		{[]string{"-l", "-d", "x", "a"}, 2, "want -l or -d, not both"},
		{[]string{"-limit", "-1", "a"}, 2, "-limit must be between 0 and"},
		{[]string{"a", "[", "b"}, 2, "syntax error in pattern"},
		{[]string{filepath.Join(dir, "missing")}, 1, "no such file"},
		{[]string{dir}, 1, "is a directory"},
		{[]string{programtest.Put(t, dir, "empty", "")}, 1, "not a valid zip file"},
		{[]string{programtest.Put(t, dir, "text", "this is not an archive")}, 1, "not a valid zip file"},
		{[]string{programtest.Put(t, dir, "cut", good[:len(good)-1])}, 1, "not a valid zip file"},
		{[]string{"-d", filepath.Join(programtest.Put(t, dir, "file", ""), "x"), programtest.Put(t, dir, "good", good)}, 1, "not a directory"},
	} {
		programtest.Call(t, run, x.args...).Want(t, x.status, "", x.err)
	}
	// A damaged member is an error, and the only one.
	name := programtest.Put(t, dir, "torn", torn)
	r := programtest.Call(t, run, name)
	r.Want(t, 1, "third\n", "d/b.txt: zip: checksum error")
	out := filepath.Join(dir, "out")
	programtest.Call(t, run, "-d", out, name).Want(t, 1, "", "d/b.txt: zip: checksum error")
	if _, err := os.Stat(filepath.Join(out, "d", "b.txt")); !os.IsNotExist(err) {
		t.Errorf("a damaged member was left: %v", err)
	}
	if _, err := os.Stat(filepath.Join(out, "d", "e", "c.txt")); err != nil {
		t.Error(err)
	}
}

// Any damage is an error or goes unnoticed by package zip, and never a crash.
func TestDamaged(t *testing.T) {
	dir, good := t.TempDir(), archive(t, zip.Deflate, few...)
	for i := 0; i < len(good); i += mounttest.Count(9, 1, 1) {
		bad := []byte(good)
		bad[i] ^= 0xff
		name := programtest.Put(t, dir, "bad.zip", string(bad))
		for _, args := range [][]string{{"-l", name}, {name}, {"-d", filepath.Join(dir, fmt.Sprint(i)), name}} {
			if r := programtest.Call(t, run, args...); r.Status > 1 || (r.Status == 1) != (r.Err != "") {
				t.Fatalf("byte %d: %+v", i, r)
			}
		}
	}
}

func TestPermission(t *testing.T) {
	var name string
	if !mounttest.IsUserChild() {
		name = programtest.Put(t, mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks), "a.zip", archive(t, zip.Store, few...))
		if err := os.Chmod(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mounttest.AsUser(t, func(t *testing.T) {
		programtest.Call(t, run, os.Getenv("ARCHIVE")).Want(t, 1, "", "permission denied")
	}, "ARCHIVE="+name)
}

// The archive is overwritten and truncated after the first byte of it was printed; the rest is
// as it was.
func TestDestroyedMeanwhile(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		members, all := many(1)
		name := programtest.Put(t, dir, "a.zip", archive(t, zip.Store, members...))
		r := programtest.CallWith(t, run, "", func() { programtest.Destroy(t, name) }, name)
		if r.Want(t, 0, "", ""); r.Out != all {
			t.Error("not what the archive held")
		}
		programtest.Call(t, run, name).Want(t, 1, "", "not a valid zip file")
	})
}

// Each run shows one version of an archive that is replaced all the time.
func TestReplacedMeanwhile(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		var archives, contents [2]string
		for v := range archives {
			var members []member
			members, contents[v] = many(byte(v))
			archives[v] = archive(t, zip.Store, members...)
		}
		name := programtest.Put(t, dir, "a.zip", archives[0])
		replace := func(i int) error { return programtest.Replace(name, archives[i%2]) }
		beside.Do(t, mounttest.Count(3, 20, 1000), replace, func(i int) {
			out := filepath.Join(dir, fmt.Sprint("out", i))
			r := programtest.Call(t, run, name)
			if r.Want(t, 0, "", ""); r.Out != contents[0] && r.Out != contents[1] {
				t.Fatal("a mix of two versions was printed")
			}
			programtest.Call(t, run, "-d", out, name).Want(t, 0, "", "")
			var all strings.Builder
			for i := range 40 {
				b, _ := os.ReadFile(filepath.Join(out, fmt.Sprint("m", i)))
				all.Write(b)
			}
			if all.String() != contents[0] && all.String() != contents[1] {
				t.Fatal("a mix of two versions was extracted")
			}
			if err := os.RemoveAll(out); err != nil {
				t.Fatal(err)
			}
		})
	})
}
