package snapshot_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// sparseBudget is half of the addresses of a process.
const sparseBudget = 1 << 46

// Sparse files of 1 TiB to 8 EiB are opened or refused, and mapped as far as the table says. While
// many of them are open, small files can be opened and mapped.
//
//promise:snapshot with any number of sparse files open, small files are opened and mapped
//promise:snapshot files share the addresses as the table of limits says
func TestLimitsSparseFiles(t *testing.T) {
	if math.MaxInt == math.MaxInt32 || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("this architecture has other addresses")
	}
	if os.Getenv(limitEnv) != "" {
		openSparse(t, os.Getenv(limitDir))
		return
	}
	eachOrTwo(t, func(t *testing.T, dir string) {
		write(t, join(dir, "f"), fileContents())
		out, err := (&limit{name: "sparse"}).startLimited(t, dir)
		if err != nil {
			t.Fatalf("the child: %v\n%s", err, out[:min(len(out), 6000)])
		}
		t.Logf("%s", out)
	})
}

func openSparse(t *testing.T, dir string) {
	mounttest.Leaks(t)
	warmUp()
	commitThenRestore(t, dir)
	before := take(t, dir)
	name, opened := join(dir, "sparse"), 0
	for _, size := range []int64{
		sparseBudget / 8 * 7, // first, as later mappings of the runtime may divide the addresses
		1 << 40, 1<<40 + 1, 1 << 43, 1 << 45, sparseBudget/8*7 + 1, 1 << 47, 1 << 50, 1 << 62,
		math.MaxInt64 - 4095,
	} {
		write(t, name, noise(3, 4096))
		if err := os.Truncate(name, size); err != nil {
			t.Logf("%d bytes: %v", size, err) // the filesystem has no such files
		} else {
			opened += sparseFiles(t, name, size)
		}
		must(t, os.Remove(name))
		settleDown(dir)
	}
	if opened == 0 {
		t.Error("no sparse file was opened")
	}
	commitThenRestore(t, dir)
	wantNoMore(t, dir, before)
}

// sparseFiles opens many snapshots of one file, and then small ones beside it. It returns how many
// it opened.
func sparseFiles(t *testing.T, name string, size int64) int {
	t.Helper()
	var held []heldSnapshot
	defer closeHeld(&held)
	var refused error
	mapped := int64(0)
	for range mounttest.Count(60, 200, 1000) {
		m, err := snapshot.Open(name)
		if err != nil {
			refused = err
			break
		}
		h := heldSnapshot{m, 3, 4096}
		held = append(held, h)
		h.wantRead(t, fmt.Sprint(size))
		if err := h.view(); err != nil {
			refused = err
		} else {
			mapped++
		}
	}
	t.Logf("%d bytes: %d snapshots were opened, %d mapped; %v", size, len(held), mapped, refused)
	if !errors.Is(refused, syscall.ENOMEM) || !strings.Contains(refused.Error(), "of all addresses") {
		t.Errorf("%d bytes: %v", size, refused)
	}
	want := (sparseBudget/2 + size - 1) / size // mapped while less than half is used
	switch {
	case size > sparseBudget/8*7:
		want = 0
	case size <= sparseBudget/64:
		want = sparseBudget / 8 * 7 / size
	}
	if mapped != want || (len(held) == 0) != (want == 0) {
		t.Errorf("%d bytes: %d snapshots were opened, %d mapped, want %d", size, len(held), mapped, want)
	}
	useRuntime()
	n := len(held)
	for i := range 20 {
		m, err := openAlternately(filepath.Dir(name), i)
		must(t, err)
		h := heldSnapshot{m, 1, limitSize}
		if i%2 == 1 {
			h.seed = uint64(i)
		}
		held = append(held, h)
		if err := h.view(); err != nil {
			t.Errorf("beside files of %d bytes: %v", size, err)
		}
	}
	for _, h := range held {
		h.wantRead(t, fmt.Sprint(size))
	}
	must(t, closeHeld(&held))
	return n
}
