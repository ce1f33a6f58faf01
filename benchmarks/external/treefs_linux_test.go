package external

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// An FS over FUSE is one as over any directory, and shows each version of a file that commits replace, whole.
//
//promise:adapters.FS.ReadFile beside commits ReadFile returns one version, on FUSE too
func TestTreeFS(t *testing.T) {
	eachTree(t, func(t *testing.T, tree *fusetest.Tree, back string) {
		must(t, os.Mkdir(filepath.Join(back, "dir"), 0o755))
		name := filepath.Join(tree.Dir(), "dir", "f")
		must(t, os.WriteFile(name, generation(0), 0o644))
		files, err := adapters.NewFS(tree.Dir(), snapshot.Config{})
		must(t, err)
		defer files.Close()
		must(t, fstest.TestFS(files, "dir/f"))

		m, err := snapshot.OpenMut(name)
		must(t, err)
		defer m.Close()
		var done atomic.Bool
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for !done.Load() {
					if data, err := fs.ReadFile(files, "dir/f"); err != nil || len(data) < 8 || !bytes.Equal(data, generation(uint64(data[0]))) {
						t.Errorf("%d bytes, %v", len(data), err)
					}
				}
			})
		}
		last := uint64(mounttest.Count(15, 15, 200))
		for g := range last + 1 {
			must(t, m.Resize(int64(len(generation(g)))))
			_, err := m.WriteAt(generation(g), 0)
			must(t, err)
			must(t, m.Commit())
		}
		done.Store(true)
		readers.Wait()
		data, err := fs.ReadFile(files, "dir/f")
		must(t, err)
		wantBytes(t, "f", data, generation(last))
	})
}
