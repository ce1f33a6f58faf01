package snapshot_test

import (
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// appendTo appends pieces of n bytes until total bytes are there, all of data.
func appendTo(t *testing.T, m *snapshot.MmapMut, data []byte, n int) {
	t.Helper()
	for off := m.Size(); off < int64(len(data)); off += int64(n) {
		if _, err := m.WriteGrow(data[off:min(off+int64(n), int64(len(data)))], off); err != nil {
			t.Fatal(err)
		}
	}
}

// What is put ahead of appends is there where it pays, is never more than was appended since the
// last commit or cut, and is in no commit. Nobody sees it.
func TestAppendAhead(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		pays := slices.Contains(snapshot.AheadPays, snapshot.FsTypeOf(t, dir))
		name, other := join(dir, "f"), join(dir, "other")
		write(t, other, noise(1, 1<<20))
		for _, n := range []int{4096, 1000, 100, 512, 3000, 20_000, 100_000}[:mounttest.Count(3, 7, 7)] {
			write(t, name, nil)
			m := openMut(t, name)
			data := noise(uint64(n), 700_000)
			upTo := func(size int, ahead bool) {
				t.Helper()
				appendTo(t, m, data[:size], n)
				if got := snapshot.Ahead(t, m); got > 64<<10 != ahead && n <= 4096 {
					t.Errorf("%d bytes ahead of %d, in pieces of %d", got, size, n)
				}
			}
			upTo(2*4096, false)
			must(t, open(t, other).Prefetch(0, -1)) // leaves its contents in a buffer
			upTo(71*4096, pays)
			must(t, m.Resize(100*4096))
			wantContents(t, m, append(data[:71*4096:71*4096], make([]byte, 29*4096)...))
			must(t, m.Resize(4096))
			upTo(3*4096, false)

			upTo(71*4096, pays)
			must(t, m.Commit())
			wantFile(t, name, data[:71*4096])
			upTo(98*4096, false)
			wantContents(t, m, data[:98*4096])

			appendTo(t, m, data, n)
			must(t, m.CommitAndClose())
			wantFile(t, name, data)
			st, err := os.Stat(name)
			must(t, err)
			if got := st.Sys().(*syscall.Stat_t).Blocks * 512; got > int64(len(data))+64<<10 {
				t.Errorf("%d bytes of disk space for %d, in pieces of %d", got, len(data), n)
			}
		}
	})
}

// If nothing can be put ahead, appends go on without.
func TestAppendAheadFails(t *testing.T) {
	dir := mounttest.Dir(t, "tmpfs")
	failed := 0
	snapshot.Intercept(t, func(call string) error {
		if call == "allocate" {
			failed++
			return syscall.ENOSPC
		}
		return nil
	})
	name := join(dir, "f")
	data := noise(1, 1<<20)
	m := create(t, name)
	appendTo(t, m, data, 4096)
	wantContents(t, m, data)
	must(t, m.CommitAndClose())
	wantFile(t, name, data)
	if failed != 1 {
		t.Errorf("%d tries", failed)
	}
}

// What could be put ahead before it failed is in no commit either.
func TestAppendAheadFailsHalfway(t *testing.T) {
	mounttest.EachOf(t, []string{"xfs", "ext4"}, func(t *testing.T, dir string) {
		name := join(dir, "f")
		data := noise(1, 33*4096)
		m := create(t, name)
		appendTo(t, m, data[:32*4096], 4096)
		undo := limitFileSize(t, 200_000)
		appendTo(t, m, data, 4096)
		undo()
		if got := snapshot.Ahead(t, m); got < 50_000 || got > 70_000 {
			t.Errorf("%d bytes ahead", got)
		}
		must(t, m.Commit())
		wantFile(t, name, data)
	})
}

// A disk can be filled by appends to the last page, and what was written is there. Then there is
// room again, and they go on.
func TestAppendUntilFull(t *testing.T) {
	for kind, size := range map[string]int64{"tmpfs": 4 << 20, "ext4": 8 << 20, "xfs": 320 << 20} {
		t.Run(kind, func(t *testing.T) {
			dir := mounttest.Fresh(t, kind, size)
			var st syscall.Statfs_t
			must(t, syscall.Statfs(dir, &st))
			f, err := os.Create(join(dir, "most"))
			must(t, err)
			defer f.Close()
			must(t, syscall.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*int64(st.Bsize)-2<<20))
			m := create(t, join(dir, "f"))
			data := noise(1, 8<<20)
			size = 0
			for err == nil {
				var n int
				n, err = m.WriteGrow(data[size:size+4096], size)
				size += int64(n)
			}
			if !errors.Is(err, syscall.ENOSPC) || m.Size() != size {
				t.Fatalf("%v; %d bytes were written, the size is %d", err, size, m.Size())
			}
			must(t, syscall.Statfs(dir, &st))
			if free := int64(st.Bavail) * int64(st.Bsize); free > 64<<10 {
				t.Errorf("%d bytes are free", free)
			}
			wantContents(t, m, data[:size])
			must(t, m.Resize(size/2))
			appendTo(t, m, data[:size/2+200_000], 4096)
			must(t, m.CommitAndClose())
			wantFile(t, join(dir, "f"), data[:size/2+200_000])
		})
	}
}
