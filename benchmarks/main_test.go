package benchmarks

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func TestMain(m *testing.M) { mounttest.Main(m) }

// each runs f on every kind of filesystem with the properties, in a directory of its own.
func each(b *testing.B, p mounttest.Property, f func(b *testing.B, kind *mounttest.Kind, dir string)) {
	for _, kind := range mounttest.Kinds(p) {
		b.Run("fs="+kind.String(), func(b *testing.B) { f(b, kind, kind.Dir(b)) })
	}
}

// upTo returns those of sizes that a run with -short makes, which are those up to limit, or all.
func upTo(limit int64, sizes ...int64) []int64 {
	for i, size := range sizes {
		if testing.Short() && size > limit {
			return sizes[:i]
		}
	}
	return sizes
}

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

func check(tb testing.TB, err error) {
	if err != nil {
		tb.Helper() // takes longer than much of what is measured
		tb.Fatal(err)
	}
}

// file makes a file of size random bytes, on the disk already.
func file(tb testing.TB, dir, base string, size int64) string {
	tb.Helper()
	name := filepath.Join(dir, base)
	f, err := os.Create(name)
	check(tb, err)
	defer f.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, io.LimitReader(rand.NewChaCha8([32]byte{1}), size), make([]byte, mib))
	check(tb, err)
	check(tb, f.Sync())
	return name
}

// cold makes a reflink of the file src under a new name: nothing of it is in the page cache,
// whoever reads it. It replaces the one before, and returns its name.
func cold(tb testing.TB, src string) string {
	tb.Helper()
	name := src + ".cold"
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		tb.Fatal(err)
	}
	from, err := os.Open(src)
	check(tb, err)
	defer from.Close()
	to, err := os.Create(name)
	check(tb, err)
	defer to.Close()
	check(tb, syscalls.Ficlone(int(to.Fd()), int(from.Fd())))
	return name
}

func closing(tb testing.TB, c io.Closer) { check(tb, c.Close()) }
