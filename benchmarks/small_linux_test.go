package benchmarks

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// nobody is a user without capabilities.
const nobody = 65534

// A smallFile is a file and the process that reads it.
type smallFile struct {
	label string
	user  bool        // the process is nobody's
	owner int         // of the file, if the process is nobody's
	dir   os.FileMode // of its directory
}

var smallFiles = []smallFile{
	{label: "reader=owner", dir: 0o777},
	{label: "reader=user-owner", user: true, owner: nobody, dir: 0o777},
	{label: "reader=other", user: true, dir: 0o755},
	{label: "reader=other-writable-dir", user: true, dir: 0o777},
}

// BenchmarkSmall opens, reads and closes small files: that of the process itself, and those of other
// users, in a directory that the process may write to or not. A copy of another user's file in a
// directory that it may write to, on a filesystem with reflinks, is a reflink.
//
//promise:snapshot.Config.Open a file of at most 128 KiB is read in at most twice the time of os.ReadFile
func BenchmarkSmall(b *testing.B) {
	each(b, mounttest.Known, func(b *testing.B, _ *mounttest.Kind, dir string) {
		for _, f := range smallFiles {
			for _, size := range []int64{1000, 10_000, 64 * kib, 128 * kib} {
				b.Run(fmt.Sprint(f.label, "/size=", size), func(b *testing.B) {
					f.run(b, dir, size, func(c interleave.Comparison) { c.Bench(b) })
				})
			}
		}
	})
}

// run makes the file, in a directory of its own, and gives f what is compared, as the process that
// reads.
func (s smallFile) run(tb testing.TB, dir string, size int64, f func(c interleave.Comparison)) {
	tb.Helper()
	dir, err := os.MkdirTemp(dir, "small")
	check(tb, err)
	name := file(tb, dir, "f", size)
	check(tb, os.Chmod(name, 0o644))
	check(tb, os.Chmod(dir, s.dir))
	c := interleave.Comparison{Ways: []interleave.Way{readingAll(tb, name), readingSmall(tb, name, size)}}
	if !s.user {
		f(c)
		return
	}
	mounttest.Need(tb, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN")
	for d := dir; d != "/"; d = filepath.Dir(d) {
		if fi, err := os.Stat(d); err != nil || fi.Mode()&0o001 == 0 {
			check(tb, os.Chmod(d, 0o755))
		}
	}
	check(tb, os.Chown(name, s.owner, s.owner))
	mounttest.OnThread(tb, func() error {
		if err := mounttest.Become(nobody, nobody); err != nil {
			return err
		}
		f(c)
		return nil
	})
}

// readingSmall opens a snapshot, reads all of it and closes it.
func readingSmall(tb testing.TB, name string, size int64) interleave.Way {
	p := make([]byte, size)
	return interleave.Once("Mmap", func() {
		m, err := snapshot.Open(name)
		check(tb, err)
		_, err = m.ReadAt(p, 0)
		check(tb, err)
		closing(tb, m)
	})
}

// BenchmarkFS opens, reads and closes small files of a tree, which no other reader has open.
//
//promise:adapters.FS.Open a small file is opened, read and closed in at most 2.5 times the time of os.DirFS
func BenchmarkFS(b *testing.B) {
	each(b, mounttest.Known, func(b *testing.B, _ *mounttest.Kind, dir string) {
		for _, size := range []int64{1000, 10_000, 64 * kib} {
			b.Run(fmt.Sprint("size=", size), func(b *testing.B) { readingFS(b, dir, size).Bench(b) })
		}
	})
}

// readingFS compares trees of so many files that an FS has forgotten each of them by the next time.
func readingFS(tb testing.TB, dir string, size int64) interleave.Comparison {
	dir, err := os.MkdirTemp(dir, "fs")
	check(tb, err)
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprint(i)
		file(tb, dir, names[i], size)
	}
	way := func(name string, fsys fs.FS) interleave.Way {
		i := 0
		return interleave.Once(name, func() {
			i = (i + 1) % len(names)
			f, err := fsys.Open(names[i])
			check(tb, err)
			_, err = io.Copy(io.Discard, f)
			check(tb, err)
			closing(tb, f)
		})
	}
	return interleave.Comparison{Ways: []interleave.Way{way("os.DirFS", os.DirFS(dir)), way("FS", newFS(tb, dir))}}
}

func newFS(tb testing.TB, dir string) *adapters.FS {
	fsys, err := adapters.NewFS(dir, snapshot.Config{})
	check(tb, err)
	tb.Cleanup(func() { closing(tb, fsys) })
	return fsys
}

// BenchmarkWalk reads every file below a directory: part of the sources of Go.
//
//promise:adapters.FS.ReadFile reading all files of a tree takes at most twice the time that it takes by os.DirFS
func BenchmarkWalk(b *testing.B) {
	each(b, mounttest.Known, func(b *testing.B, _ *mounttest.Kind, dir string) {
		walkingTree(b, dir).Bench(b)
	})
}

func walkingTree(tb testing.TB, dir string) interleave.Comparison {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	check(tb, err)
	part := "src"
	if testing.Short() {
		part = "src/net"
	}
	dir = filepath.Join(dir, "tree")
	check(tb, os.CopyFS(dir, os.DirFS(filepath.Join(strings.TrimSpace(string(root)), part))))
	way := func(name string, fsys fs.FS) interleave.Way {
		return interleave.Once(name, func() {
			err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() {
					_, err = fs.ReadFile(fsys, path)
				}
				return err
			})
			check(tb, err)
		})
	}
	return interleave.Comparison{Ways: []interleave.Way{way("os.DirFS", os.DirFS(dir)), way("FS", newFS(tb, dir))}}
}
