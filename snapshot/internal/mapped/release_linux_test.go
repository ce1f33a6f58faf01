package mapped

import (
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// While the last reference is given back, the garbage collector does not take the mapping for
// unreachable: its addresses would be another's when they become inaccessible.
func TestReleaseKeepsMapping(t *testing.T) {
	for what, end := range map[string]func(r *Region) error{
		"Close": (*Region).Close,
		"growth": func(r *Region) error {
			r.SetSize(3 << 20)
			return r.Prefetch(0, 3<<20)
		},
	} {
		f, err := os.OpenFile(filepath.Join(t.TempDir(), "f"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(3 << 20); err != nil {
			t.Fatal(err)
		}
		r, err := New(f, 1<<20, 0, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Prefetch(0, 1); err != nil {
			t.Fatal(err)
		}
		revoke, unmap := sys.MapNone, sys.Munmap
		var within atomic.Pointer[byte]
		var unmapped atomic.Bool
		sys.Munmap = func(b []byte) error {
			unmapped.Store(unmapped.Load() || within.Load() == &b[0])
			return unmap(b)
		}
		sys.MapNone = func(b []byte) error {
			if !within.CompareAndSwap(nil, &b[0]) { // finalize does so, too
				return revoke(b)
			}
			// As if the thread had to wait here.
			for range 20 {
				runtime.GC()
				time.Sleep(time.Millisecond) // cleanups run on a goroutine of their own
			}
			within.Store(nil)
			return revoke(b)
		}
		err = end(r)
		sys.MapNone, sys.Munmap = revoke, unmap
		if err != nil || unmapped.Load() {
			t.Errorf("%s: %v; unmapped before it was revoked: %v", what, err, unmapped.Load())
		}
		runtime.KeepAlive(r)
	}
}
