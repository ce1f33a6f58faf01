package external

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// The kernel shows the attributes of a file for as long as the server allows. An FS asks the server
// whether the file that it has a snapshot of is unchanged.
//
//promise:adapters.FS.Open on FUSE a change shows at once, also while attributes are cached
func TestTreeFSAsksTheServer(t *testing.T) {
	mounttest.Leaks(t)
	tree, back := newTree(t, fusetest.TreeConfig{Lacks: lacks, Cache: 20 * time.Second})
	must(t, os.WriteFile(filepath.Join(back, "f"), []byte("old"), 0o644))
	files, err := adapters.NewFS(tree.Dir(), snapshot.Config{})
	must(t, err)
	defer files.Close()
	// Until then, nothing is shared that could be old.
	time.Sleep(10*time.Second + 100*time.Millisecond)
	begin := time.Now()
	first, err := files.Open("f")
	must(t, err)
	defer first.Close()
	second, err := files.Open("f")
	must(t, err)
	defer second.Close()
	a, _ := first.Stat()
	b, _ := second.Stat()
	if a.Sys() != b.Sys() {
		t.Error("the snapshot is not shared: nothing is tested")
	}
	for _, want := range []string{"new", "newer", "other"} {
		must(t, os.WriteFile(filepath.Join(back, "f"), []byte(want), 0o644))
		got, err := files.ReadFile("f")
		must(t, err)
		wantBytes(t, "f", got, []byte(want))
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Skipf("attributes are no longer cached after %v: nothing is tested", took)
	}
}
