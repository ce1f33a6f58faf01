package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/examples/internal/beside"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func TestMain(m *testing.M) { mounttest.Main(m) }

func TestBinary(t *testing.T) {
	exe := programtest.Build(t)
	name := programtest.Put(t, private(t), "a.tar", archive(t, tar.FormatPAX, few...))
	out, err := exec.CommandContext(t.Context(), exe, name, "d/b", "a").CombinedOutput()
	if err != nil || string(out) != "second\nfirst\n" {
		t.Errorf("%v: %s", err, out)
	}
	programtest.WantHelp(t, exe, "usage: tarindex")
}

func TestIndex(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, ix := programtest.Put(t, dir, "a.tar", archive(t, tar.FormatUSTAR, few...)), filepath.Join(dir, "ix")
		programtest.Call(t, run, "-l", name).Want(t, 0, "          1024            7  2026-02-03 04:05:06  d/b\n", "")
		programtest.Call(t, run, "-i", ix, name).Want(t, 0, "", "")
		made, err := os.Stat(ix)
		if err != nil {
			t.Fatal(err)
		}
		programtest.Call(t, run, "-i", ix, name, "d/b").Want(t, 0, "second\n", "")
		if now, err := os.Stat(ix); err != nil || !os.SameFile(made, now) {
			t.Errorf("an index that fits was made again: %v", err)
		}
		programtest.Call(t, run, "-i", ix, name, "x", "a").Want(t, 1, "first\n", "x: not in the archive")
	})
}

// What is read by its offset is what is read from the beginning, in all formats that tar(1) and
// package tar write, sparse files and long names included.
func TestLikeTar(t *testing.T) {
	programtest.NeedLinux(t)
	dir := private(t)
	long := strings.Repeat("long/", 60) + "name"
	var files []string
	for i, size := range []int{0, 1, 511, 512, 513, 1024, 5000, 512 * 9} {
		files = append(files, fmt.Sprint("f", i), strings.Repeat(fmt.Sprint(i), size), fmt.Sprint(long, i), "long", "odd\xff\n"+fmt.Sprint(i), "odd")
	}
	var names []string
	for _, f := range []tar.Format{tar.FormatPAX, tar.FormatGNU} {
		if f == tar.FormatPAX {
			for i := 0; i < len(files); i += 2 {
				files[i] = strings.ToValidUTF8(files[i], "?") // as that format demands
			}
		}
		names = append(names, programtest.Put(t, dir, f.String(), archive(t, f, files...)))
	}
	tree := filepath.Join(dir, "tree")
	if err := os.MkdirAll(filepath.Join(tree, long), 0o755); err != nil {
		t.Fatal(err)
	}
	sparse := programtest.Put(t, tree, "a-sparse", "begin")
	if err := os.Truncate(sparse, 50<<20); err != nil {
		t.Fatal(err)
	}
	programtest.Put(t, filepath.Join(tree, long), "after", "the sparse file")
	if err := os.Link(filepath.Join(tree, long, "after"), filepath.Join(tree, "hard")); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"gnu", "oldgnu", "pax", "ustar"} {
		name := filepath.Join(dir, "tar-"+f)
		can := "--sparse"
		if f == "ustar" { // cannot hold the long name, nor holes
			can = "--exclude=./long"
		}
		args := []string{"--sort=name", can, "--format=" + f, "-cf", name, "-C", tree, "."}
		out, err := exec.CommandContext(t.Context(), "tar", args...).CombinedOutput()
		if err != nil {
			t.Logf("no tar(1) of GNU: %v: %s", err, out)
			break
		}
		names = append(names, name)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) { likeTar(t, name) })
	}
}

func likeTar(t *testing.T, name string) {
	m, err := snapshot.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ix, err := scan(t.Context(), m, func(int64, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	tr, i := tar.NewReader(adapters.NewReader(m)), 0
	for ; ; i++ {
		want, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got, r, err := ix.members[i].open(m)
		if err != nil {
			t.Fatalf("%s: %v", want.Name, err)
		}
		if got.Name != want.Name || got.Size != want.Size || got.Linkname != want.Linkname || got.Typeflag != want.Typeflag {
			t.Errorf("member %d is %+v, want %+v", i, got, want)
		}
		all, _ := io.ReadAll(tr)
		if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, all) {
			t.Errorf("%s: %d bytes, %v; want %d", want.Name, len(b), err, len(all))
		}
	}
	if i < 2 || i != len(ix.members) {
		t.Errorf("%d members indexed, there are %d", len(ix.members), i)
	}
}

// An index of another version of the archive is noticed and made again.
func TestStaleIndex(t *testing.T) {
	dir := private(t)
	name, ix := filepath.Join(dir, "a.tar"), filepath.Join(dir, "ix")
	whole := archive(t, tar.FormatPAX, few...)
	keep := func(content string) { // the time of modification
		programtest.Put(t, dir, "a.tar", content)
		if err := os.Chtimes(name, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	for what, change := range map[string]func(){
		"size": func() {
			keep(archive(t, tar.FormatPAX, "new", "longer", "a", "first\n", "b", strings.Repeat("x", 9000)))
		},
		"time": func() {
			if err := os.Chtimes(name, modified, modified.Add(1)); err != nil {
				t.Fatal(err)
			}
		},
		"first header": func() { keep(archive(t, tar.FormatPAX, "A", "first\n", "a", "first\n", "c", few[5])) },
		"last header":  func() { keep(archive(t, tar.FormatPAX, "a", "first\n", "d/b", "second\n", "C", few[5])) },
		"cut index": func() {
			b, _ := os.ReadFile(ix)
			lines := bytes.SplitAfter(b, []byte("\n"))
			programtest.Put(t, dir, "ix", string(bytes.Join(lines[:len(lines)-2], nil)))
		},
		"damaged index": func() {
			b, _ := os.ReadFile(ix)
			b[len(b)/2] = 0
			programtest.Put(t, dir, "ix", string(b))
		},
		"empty index": func() { programtest.Put(t, dir, "ix", "") },
	} {
		keep(whole)
		_ = os.Remove(ix)
		programtest.Call(t, run, "-i", ix, name).Want(t, 0, "", "")
		change()
		programtest.Call(t, run, "-i", ix, name, "a").Want(t, 0, "first\n", "the index does not fit the archive, and is made again")
		if r := programtest.Call(t, run, "-i", ix, name, "a"); r.Err != "" {
			t.Errorf("%s: noticed again: %+v", what, r)
		}
	}
	// Only the member in the middle is another: noticed when it is read.
	keep(archive(t, tar.FormatPAX, "a", "first\n", "d/B", "second\n", "c", few[5]))
	_ = os.Remove(ix)
	programtest.Call(t, run, "-i", ix, name).Want(t, 0, "", "")
	keep(whole)
	programtest.Call(t, run, "-i", ix, name, "d/B").Want(t, 1, "", "d/B: the index does not fit the archive")
	// Even if only its mode is another. To swap two digits leaves the checksum as it is.
	_ = os.Remove(ix)
	programtest.Call(t, run, "-i", ix, name).Want(t, 0, "", "")
	keep(strings.Replace(whole, "d/b"+strings.Repeat("\x00", 97)+"0000644", "d/b"+strings.Repeat("\x00", 97)+"0000446", 1))
	programtest.Call(t, run, "-i", ix, name, "d/b").Want(t, 1, "", "d/b: the index does not fit the archive")
}

func TestBadInput(t *testing.T) {
	dir := private(t)
	good := archive(t, tar.FormatPAX, few...)
	name := programtest.Put(t, dir, "good", good)
	for _, x := range []struct {
		args   []string
		status int
		err    string
	}{
		{nil, 2, "want an archive"},
		{[]string{"a"}, 2, "nothing to do"},
		{[]string{"-l", "a", "b"}, 2, `-l lists all members: "b" is one too many`},
		{[]string{"-limit", "-1", "a", "b"}, 2, "-limit must be between"},
		{[]string{"-x"}, 2, "not defined: -x"},
		{[]string{"-l", filepath.Join(dir, "missing")}, 1, "no such file"},
		{[]string{"-l", dir}, 1, "is a directory"},
		{[]string{"-l", programtest.Put(t, dir, "text", strings.Repeat("no archive", 100))}, 1, "at offset 0: archive/tar: invalid tar header"},
		{[]string{"-l", programtest.Put(t, dir, "gz", "\x1f\x8b"+strings.Repeat("x", 1000))}, 1, "it is compressed"},
		{[]string{"-l", programtest.Put(t, dir, "cut", good[:1300])}, 1, "at offset 1024: unexpected EOF"},
		{[]string{"-l", programtest.Put(t, dir, "cut data", good[:3000])}, 1, "unexpected EOF"},
		{[]string{"-i", filepath.Join(dir, "no", "ix"), name}, 1, "no such file"},
		{[]string{"-i", name, name}, 1, "not an index, and not replaced"},
		{[]string{"-i", dir, name}, 1, "is a directory"},
	} {
		programtest.Call(t, run, x.args...).Want(t, x.status, "", x.err)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != good {
		t.Errorf("the archive was changed: %v", err)
	}
	programtest.Call(t, run, "-l", programtest.Put(t, dir, "empty", "")).Want(t, 0, "", "")
}

// Offsets that an index claims are not trusted.
func TestDamagedIndex(t *testing.T) {
	dir := private(t)
	name, ix := programtest.Put(t, dir, "a.tar", archive(t, tar.FormatPAX, few...)), filepath.Join(dir, "ix")
	programtest.Call(t, run, "-i", ix, name).Want(t, 0, "", "")
	good, err := os.ReadFile(ix)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(good); i += mounttest.Count(5, 1, 1) {
		bad := bytes.Clone(good)
		bad[i] = "9-}x"[i%4]
		programtest.Put(t, dir, "ix", string(bad))
		if r := programtest.Call(t, run, "-i", ix, name, "d/b"); r.Status == 0 && r.Out != "second\n" || r.Status > 1 {
			t.Fatalf("byte %d: %+v", i, r)
		}
	}
}

// The archive is overwritten and truncated after the first byte was printed.
func TestDestroyedMeanwhile(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		content := make([]byte, 3<<20)
		_, _ = rand.NewChaCha8([32]byte{}).Read(content)
		name := programtest.Put(t, dir, "a.tar", archive(t, tar.FormatPAX, "x", "", "y", string(content), "z", string(content)))
		r := programtest.CallWith(t, run, "", func() { programtest.Destroy(t, name) }, name, "z", "y")
		if r.Want(t, 0, "", ""); r.Out != string(content)+string(content) {
			t.Error("not what the archive held")
		}
	})
}

// An archive is replaced all the time by one with everything elsewhere: the contents are always
// those of the member, and the index always fits.
func TestReplacedMeanwhile(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		versions := []string{archive(t, tar.FormatPAX, few...), archive(t, tar.FormatPAX, few[4], few[5], few[0], few[1], few[2], few[3])}
		name, ix := programtest.Put(t, dir, "a.tar", versions[0]), filepath.Join(dir, "ix")
		replace := func(i int) error { return programtest.Replace(name, versions[i%2]) }
		beside.Do(t, mounttest.Count(10, 100, 5000), replace, func(int) {
			if r := programtest.Call(t, run, "-i", ix, name, "d/b", "c"); r.Status != 0 || r.Out != few[3]+few[5] {
				t.Fatalf("%+v", r)
			}
		})
	})
}
