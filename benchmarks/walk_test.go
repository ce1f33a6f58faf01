package benchmarks

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// archives are of the sources of Go, as much as a run has time for.
var archives = sync.OnceValues(func() (*struct{ zip, tar bytes.Buffer }, error) {
	limit := int64(48 * mib)
	if testing.Short() {
		limit = 4 * mib
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	var a struct{ zip, tar bytes.Buffer }
	z, t := zip.NewWriter(&a.zip), tar.NewWriter(&a.tar)
	src := os.DirFS(filepath.Join(strings.TrimSpace(string(root)), "src"))
	err = fs.WalkDir(src, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := fs.ReadFile(src, path)
		if err != nil {
			return err
		}
		w, err := z.Create(path)
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		if err := t.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: int64(len(data))}); err != nil {
			return err
		}
		if _, err := t.Write(data); err != nil {
			return err
		}
		if limit -= int64(len(data)); limit < 0 {
			return fs.SkipAll
		}
		return nil
	})
	return &a, errors.Join(err, z.Close(), t.Close())
})

// BenchmarkZip opens an archive and reads every file in it, or only its directory, with everything in
// memory.
func BenchmarkZip(b *testing.B) {
	a, err := archives()
	check(b, err)
	each(b, mounttest.Known, func(b *testing.B, _ *mounttest.Kind, dir string) {
		name := filepath.Join(dir, "zip")
		check(b, os.WriteFile(name, a.zip.Bytes(), 0o600))
		for _, read := range []string{"all", "directory"} {
			b.Run("read="+read, func(b *testing.B) { zipWalks(b, name, read == "all").Bench(b) })
		}
	})
}

func zipWalks(tb testing.TB, name string, all bool) interleave.Comparison {
	c := interleave.Comparison{}
	for _, o := range append([]opener{inMemory}, openers...) {
		r, err := o.open(name)
		check(tb, err)
		tb.Cleanup(func() { closing(tb, r) })
		fi, err := os.Stat(name)
		check(tb, err)
		if all {
			c.Bytes = fi.Size()
		}
		c.Ways = append(c.Ways, interleave.Once(o.name, func() { walkZip(tb, r, fi.Size(), all) }))
	}
	return c
}

func walkZip(tb testing.TB, r io.ReaderAt, size int64, all bool) {
	z, err := zip.NewReader(r, size)
	check(tb, err)
	if !all {
		return
	}
	for _, entry := range z.File {
		f, err := entry.Open()
		check(tb, err)
		_, err = io.Copy(io.Discard, f)
		check(tb, err)
		check(tb, f.Close())
	}
}

// BenchmarkTar reads every file in an archive, or only their headers, with everything in memory.
func BenchmarkTar(b *testing.B) {
	a, err := archives()
	check(b, err)
	each(b, mounttest.Known, func(b *testing.B, _ *mounttest.Kind, dir string) {
		name := filepath.Join(dir, "tar")
		check(b, os.WriteFile(name, a.tar.Bytes(), 0o600))
		for _, read := range []string{"all", "headers"} {
			b.Run("read="+read, func(b *testing.B) { tarWalks(b, name, read == "all").Bench(b) })
		}
	})
}

func tarWalks(tb testing.TB, name string, all bool) interleave.Comparison {
	f, err := os.Open(name)
	check(tb, err)
	tb.Cleanup(func() { closing(tb, f) })
	x, err := openMapping(name)
	check(tb, err)
	tb.Cleanup(func() { closing(tb, x) })
	m, err := snapshot.Open(name)
	check(tb, err)
	tb.Cleanup(func() { closing(tb, m) })
	data, err := os.ReadFile(name)
	check(tb, err)
	walk := func(name string, open func() io.Reader) interleave.Way {
		return interleave.Once(name, func() { walkTar(tb, open(), all) })
	}
	c := interleave.Comparison{Ways: []interleave.Way{
		walk("memory", func() io.Reader { return bytes.NewReader(data) }),
		walk("os.File", func() io.Reader {
			_, err := f.Seek(0, io.SeekStart)
			check(tb, err)
			return f
		}),
		walk("mapping", func() io.Reader { return io.NewSectionReader(x, 0, int64(len(x))) }),
		walk("Reader", func() io.Reader { return adapters.NewReader(m) }),
	}}
	if all {
		c.Bytes = m.Size()
	}
	return c
}

func walkTar(tb testing.TB, r io.Reader, all bool) {
	for t := tar.NewReader(r); ; {
		_, err := t.Next()
		if err == io.EOF {
			return
		}
		check(tb, err)
		if all {
			_, err := io.Copy(io.Discard, t)
			check(tb, err)
		}
	}
}
