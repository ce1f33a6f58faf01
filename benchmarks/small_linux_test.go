package benchmarks

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// BenchmarkSmall opens, reads and closes small files: that of the process itself, and those of
// other users, in a directory that the process may write to or not. A copy of another user's file
// in a directory that it may write to, on a filesystem with reflinks, is a reflink.
//
//promise:snapshot.Config.Open a small file of one's own is read in less than twice the time of os.ReadFile
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

// BenchmarkFS opens, reads and closes small files of a tree, which no other reader has open.
func BenchmarkFS(b *testing.B) {
	each(b, mounttest.Known, func(b *testing.B, _ *mounttest.Kind, dir string) {
		for _, size := range []int64{1000, 10_000, 64 * kib} {
			b.Run(fmt.Sprint("size=", size), func(b *testing.B) { readingFS(b, dir, size).Bench(b) })
		}
	})
}

// BenchmarkWalk reads every file below a directory: part of the sources of Go.
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
	return interleave.Comparison{Ways: []interleave.Way{
		way("os.DirFS", os.DirFS(dir)), way("FS", newFS(tb, dir)),
	}}
}
