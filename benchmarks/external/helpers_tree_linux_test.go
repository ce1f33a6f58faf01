package external

import (
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Most FUSE filesystems know no unnamed files, and many less than that. Some have the kernel take names
// and attributes for true for a while, or have it write later.
var (
	lacks         = []string{"TMPFILE", "COPY_FILE_RANGE", "RENAME2", "LSEEK", "FSYNCDIR"}
	plainTree     = fusetest.TreeConfig{Lacks: lacks[:1], Gone: syscall.ESTALE}
	bareTree      = fusetest.TreeConfig{Lacks: lacks}
	cachedTree    = fusetest.TreeConfig{Lacks: lacks, Gone: syscall.ESTALE, Cache: time.Second}
	readOnlyTree  = fusetest.TreeConfig{Lacks: lacks, Cache: time.Second, ReadOnly: true}
	unnamedTree   = fusetest.TreeConfig{} // has unnamed files, but cannot change or link them
	writebackTree = fusetest.TreeConfig{Lacks: lacks, Cache: time.Second, Writeback: true}
)

// trees is what can be written to.
var trees = map[string]fusetest.TreeConfig{
	"Plain": plainTree, "Bare": bareTree, "Cached": cachedTree, "Unnamed": unnamedTree, "Writeback": writebackTree,
}

// newTree shows a directory as c has it.
func newTree(t *testing.T, c fusetest.TreeConfig) (tree *fusetest.Tree, back string) {
	t.Helper()
	back = mounttest.Dir(t, mounttest.Memory)
	return fusetest.NewTree(t, back, c), back
}

// eachTree runs f with each kind of tree, at the same time.
func eachTree(t *testing.T, f func(t *testing.T, tree *fusetest.Tree, back string)) {
	mounttest.Leaks(t)
	for kind, c := range trees {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			tree, back := newTree(t, c)
			f(t, tree, back)
		})
	}
}
