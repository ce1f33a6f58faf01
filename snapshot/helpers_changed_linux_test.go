package snapshot_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/extentdiff"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"golang.org/x/sys/unix"
)

// A state is a snapshot and its contents.
type state struct {
	*snapshot.Mmap
	data []byte
}

func newState(t *testing.T, name string) state {
	t.Helper()
	m, err := snapshot.Open(name)
	must(t, err)
	data := make([]byte, m.Size())
	_, err = m.ReadAt(data, 0)
	must(t, err)
	return state{m, data}
}

// checkChanged checks that new and old are equal outside of what Changed yields, and that the ranges
// are in order. It returns the number of pages that differ, and that of pages in ranges.
func checkChanged(t *testing.T, old, new state) (differ, reported int) {
	t.Helper()
	small, large := min(len(old.data), len(new.data)), max(len(old.data), len(new.data))
	in := make([]bool, large/editedBlock+1)
	at := 0
	equal := func(end int) {
		if end > small || !bytes.Equal(old.data[at:end], new.data[at:end]) {
			t.Errorf("[%d,%d) of %d and %d bytes differs, and is in no range", at, end,
				len(old.data), len(new.data))
		}
	}
	for r, err := range new.Changed(context.Background(), old.Mmap) {
		must(t, err)
		off, end := int(r.Off), int(r.Off+r.Len)
		if off < at || off == at && at > 0 || end <= off || end > large {
			t.Fatalf("range [%d,%d) behind %d, of %d bytes", off, end, at, large)
		}
		equal(off)
		for page := off / editedBlock; page <= (end-1)/editedBlock; page++ {
			in[page] = true
		}
		at = end
	}
	if at < large {
		equal(large)
	}
	for from := 0; from < large; from += editedBlock {
		a, b := min(from+editedBlock, len(old.data)), min(from+editedBlock, len(new.data))
		if a != b || from < a && !bytes.Equal(old.data[from:a], new.data[from:b]) {
			differ++
		}
		if in[from/editedBlock] {
			reported++
		}
	}
	return differ, reported
}

// checkLive checks that a file with dirty pages, which no process writes to now, and a snapshot of it
// are equal where their addresses say so.
func checkLive(t *testing.T, old state, fd int) {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Fstat(fd, &st))
	size := min(st.Size, old.Size())
	data := make([]byte, size)
	n, err := unix.Pread(fd, data, 0)
	if int64(n) != size || err != nil {
		t.Fatalf("read %d of %d, %v", n, size, err)
	}
	for c := extentdiff.NewComparer(size); !c.Done(); {
		parts, err := c.Next(snapshot.Region(old.Mmap).FD(), fd)
		must(t, err)
		for _, p := range parts {
			same := bytes.Equal(old.data[p.Off:p.End], data[p.Off:p.End])
			if p.Verdict == extentdiff.Same && !same {
				t.Errorf("[%d,%d) of the file differs from the snapshot", p.Off, p.End)
			}
		}
	}
}

// editedVariants are files of which the extents mean different things.
var editedVariants = []struct {
	name string
	make func(fd int) error
	// plain is set if the addresses of all extents tell the contents.
	plain bool
}{
	{"plain", func(int) error { return nil }, true},
	{"no copy-on-write", func(fd int) error { return syscalls.SetNoCOW(fd, true) }, true},
	{"compressed", func(fd int) error {
		return unix.Fsetxattr(fd, "btrfs.compression", []byte("zstd"), 0)
	}, false},
}

// found reports whether the part at an offset has a verdict.
func found(parts []extentdiff.Part, off int64, want extentdiff.Verdict) bool {
	for _, p := range parts {
		if p.Off <= off && off < p.End {
			return p.Verdict == want
		}
	}
	return false
}

// replace sets a variable of package sys while f runs.
func replace[T any](t *testing.T, variable *T, value T, f func()) {
	t.Helper()
	old := *variable
	*variable = value
	defer func() { *variable = old }()
	f()
}
