package lease

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Truncation through an overlay, whose upper layer has the file, does not wait for the lease. A look
// finds it by size or time. This is also a limit: until the look, and for good if the time is set
// back, nothing tells.
func TestTruncatedThroughOverlay(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	for _, test := range []struct {
		what  string
		sizes []int64
		hide  bool
	}{
		{"down", []int64{5000}, false},
		{"up", []int64{2 * size}, false},
		{"down and up", []int64{5000, size}, false},
		{"down and up, time set back", []int64{5000, size}, true},
	} {
		t.Run(test.what, func(t *testing.T) {
			name := newFile(t)
			top := filepath.Dir(name)
			dir := func(name string) string {
				must(t, os.Mkdir(filepath.Join(top, name), 0o755))
				return filepath.Join(top, name)
			}
			upper, merged := dir("upper"), dir("merged")
			options := "lowerdir=" + dir("lower") + ",upperdir=" + upper + ",workdir=" + dir("work")
			must(t, os.Rename(name, filepath.Join(upper, "f")))
			name = filepath.Join(upper, "f")
			must(t, unix.Mount("overlay", merged, "overlay", 0, options))
			t.Cleanup(func() { must(t, unix.Unmount(merged, 0)) })
			s := openLeased(t, name)
			warm(t, s)
			for _, n := range test.sizes {
				must(t, unix.Truncate(filepath.Join(merged, "f"), n))
			}
			if test.hide {
				must(t, os.Chtimes(name, time.Time{}, s.Stat().Mtime))
			}
			setClock(t, func() time.Duration { return clock() + maxAge })
			b, err := read(s)
			if test.hide {
				if err != nil || bytes.Equal(b, filled('A')) {
					t.Errorf("%v: the limit is gone, so the documentation is wrong", err)
				}
			} else if !errors.Is(err, privatefile.ErrUnstable) {
				t.Errorf("%q, %v", b[:8], err)
			}
			must(t, s.Close())
		})
	}
}
