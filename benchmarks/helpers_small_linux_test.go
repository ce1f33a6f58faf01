package benchmarks

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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

// run makes the file, in a directory of its own, and gives f what is compared, as the process that
// reads.
func (s smallFile) run(tb testing.TB, dir string, size int64, f func(c interleave.Comparison)) {
	tb.Helper()
	dir, err := os.MkdirTemp(dir, "small")
	check(tb, err)
	name := file(tb, dir, "f", size)
	check(tb, os.Chmod(name, 0o644))
	check(tb, os.Chmod(dir, s.dir))
	c := interleave.Comparison{Ways: []interleave.Way{
		readingAll(tb, name), readingSmall(tb, name, size),
	}}
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

// readingFS compares trees of so many files that an FS has forgotten each of them by the next
// time.
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
	return interleave.Comparison{Ways: []interleave.Way{
		way("os.DirFS", os.DirFS(dir)), way("FS", newFS(tb, dir)),
	}}
}

func newFS(tb testing.TB, dir string) *adapters.FS {
	fsys, err := adapters.NewFS(dir, snapshot.Config{})
	check(tb, err)
	tb.Cleanup(func() { closing(tb, fsys) })
	return fsys
}
