package fusetest_test

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

const page = 4096

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// evict drops a file from memory, and keeps the kernel from reading more of it than it is asked for.
func evict(t *testing.T, f *os.File) {
	t.Helper()
	fd := uint(f.Fd())
	must(t, unix.Fadvise(int(fd), 0, 0, unix.FADV_RANDOM))
	var left unix.Cachestat_t
	for i := range 100 {
		must(t, unix.Fadvise(int(fd), 0, 0, unix.FADV_DONTNEED))
		must(t, unix.Cachestat(fd, &unix.CachestatRange{}, &left, 0))
		if left.Cache == 0 {
			return
		}
		time.Sleep(time.Duration(i) * time.Millisecond) // what has just been written is held a moment longer
	}
	t.Fatalf("%d pages stayed in memory", left.Cache)
}

// wantPages reads a file page by page and checks which of them cannot be read.
func wantPages(t *testing.T, f *os.File, data []byte, bad map[int]bool) {
	t.Helper()
	p := make([]byte, page)
	for i := range len(data) / page {
		_, err := f.ReadAt(p, int64(i*page))
		switch {
		case bad[i] && !errors.Is(err, syscall.EIO):
			t.Errorf("page %d, bad: %v", i, err)
		case !bad[i] && (err != nil || !bytes.Equal(p, data[i*page:][:page])):
			t.Errorf("page %d: %v", i, err)
		}
	}
}

func newTree(t *testing.T, c fusetest.TreeConfig) (tree *fusetest.Tree, back string) {
	back = mounttest.Dir(t, mounttest.Memory)
	return fusetest.NewTree(t, back, c), back
}
