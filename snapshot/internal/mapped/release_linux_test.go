package mapped

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
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
		r, err := New(f, 1<<20, 0, true, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Prefetch(0, 1); err != nil {
			t.Fatal(err)
		}
		mem, called := r.Mapped(), false
		undo := systest.Intercept(t, func(call string) error {
			if call != "mmap none" || called {
				return nil
			}
			called = true
			for range 20 { // as if the thread had to wait here
				runtime.GC()
				time.Sleep(time.Millisecond) // cleanups run on a goroutine of their own
			}
			if err := syscalls.Mincore(mem, make([]byte, len(mem)/os.Getpagesize()+1)); err != nil {
				t.Errorf("%s: unmapped before it was revoked: %v", what, err)
				return err // what is mapped there now is not to be touched
			}
			return nil
		})
		err = end(r)
		undo()
		if err != nil || !called {
			t.Errorf("%s: %v; revoked: %v", what, err, called)
		}
		runtime.KeepAlive(r)
	}
}
