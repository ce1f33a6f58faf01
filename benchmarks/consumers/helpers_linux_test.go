package consumers

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// noise returns n bytes that do not compress, the same ones in each call.
func noise(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(p)
	return p
}

// put writes a file and returns its path.
func put(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, content, 0o644))
	return path
}

// newFS returns an FS of a directory.
func newFS(t *testing.T, dir string) *adapters.FS {
	t.Helper()
	fsys, err := adapters.NewFS(dir, snapshot.Config{})
	must(t, err)
	t.Cleanup(func() { must(t, fsys.Close()) })
	return fsys
}

// etag is what servers of the tests call a version of a file.
const etag = `"version-1"`

// damages are what another process can do to a file while a library reads it.
var damages = map[string]func(t testing.TB, name string){
	"Truncate": func(t testing.TB, name string) { must(t, os.Truncate(name, 10)) },
	"Overwrite": func(t testing.TB, name string) {
		info, err := os.Stat(name)
		must(t, err)
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		must(t, err)
		_, err = f.Write(make([]byte, info.Size()))
		must(t, err)
		must(t, f.Close())
	},
	"Replace": func(t testing.TB, name string) {
		must(t, os.Rename(put(t, filepath.Dir(name), "next", []byte("other")), name))
	},
}

// eachDamage runs f on each filesystem for each damage, with a file that holds content. F calls
// damage in the middle of its work.
func eachDamage(t *testing.T, content []byte, f func(t *testing.T, name string, damage func())) {
	t.Helper()
	mounttest.Each(t, func(t *testing.T, dir string) {
		for what, damage := range damages {
			t.Run(what, func(t *testing.T) {
				mounttest.Leaks(t)
				name := put(t, dir, what, content)
				damaged := false
				f(t, name, func() { damage(t, name); damaged = true })
				if !damaged {
					t.Error("nothing happened to the file")
				}
			})
		}
	})
}

// A file is what a library reads.
type file interface {
	io.ReadSeeker
	io.ReaderAt
	Size() int64
}

// survives runs read with a Reader of a file that holds content. Read calls damage in the middle of
// its work and returns an error unless all that it reads is right. With an os.File of a file that
// is truncated, read has to fail: otherwise the test shows nothing.
func survives(
	t *testing.T, content []byte, read func(t *testing.T, f file, damage func()) error,
) {
	t.Helper()
	eachDamage(t, content, func(t *testing.T, name string, damage func()) {
		r, err := adapters.Open(name)
		must(t, err)
		must(t, read(t, r, damage))
		must(t, r.Close())
	})
	name := put(t, t.TempDir(), "control", content)
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	truncate := func() { must(t, os.Truncate(name, 10)) }
	if err := read(t, sizedFile{f, int64(len(content))}, truncate); err == nil {
		t.Error("an os.File survives as well")
	}
}

type sizedFile struct {
	*os.File
	size int64
}

func (f sizedFile) Size() int64 { return f.size }

// written returns the bytes of a file that write makes through a File of adapters.Create, and fails
// the test unless write makes the same bytes through an os.File.
func written(t *testing.T, write func(w io.Writer) error) []byte {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "ours")
	f, err := adapters.Create(name)
	must(t, err)
	must(t, write(f))
	must(t, f.Close())
	control, err := os.Create(filepath.Join(dir, "control"))
	must(t, err)
	must(t, write(control))
	must(t, control.Close())
	got, err := os.ReadFile(name)
	must(t, err)
	want, err := os.ReadFile(control.Name())
	must(t, err)
	mounttest.WantBytes(t, "the file", got, want)
	return got
}

// wantEqual returns an error unless two values are equal.
func wantEqual[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v, want %v", what, got, want)
	}
	return nil
}
