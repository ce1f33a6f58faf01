package snapshot_test

import (
	"bytes"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A snapshot that grows in small pieces, also inside a View, is committed with exactly the bytes of its
// size by every way of publishing.
func TestResizeInPieces(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, copied, linked := join(dir, "f"), join(dir, "copied"), join(dir, "linked")
		write(t, name, []byte("begin"))
		m := openMut(t, name)
		want := []byte("begin")
		for range 50 {
			want = append(want, bytes.Repeat([]byte{byte(len(want))}, 3000)...)
			must(t, m.Resize(int64(len(want))))
			_, err := m.WriteAt(want[len(want)-3000:], int64(len(want)-3000))
			must(t, err)
			if m.Size() != int64(len(want)) || len(m.Bytes()) != len(want) {
				t.Fatalf("size %d, %d bytes, want %d", m.Size(), len(m.Bytes()), len(want))
			}
		}
		must(t, m.Commit())
		must(t, m.CommitTo(copied))
		must(t, m.Link(linked))
		for _, name := range []string{name, copied, linked} {
			wantFile(t, name, want)
		}
		must(t, m.View(0, -1, func([]byte) error {
			want = append(want, 1, 2, 3)
			must(t, m.Resize(int64(len(want))))
			_, err := m.WriteAt([]byte{1, 2, 3}, int64(len(want)-3))
			must(t, err)
			return m.Commit()
		}))
		wantFile(t, name, want)
		must(t, m.Resize(int64(len(want)+1)))
		must(t, m.CommitAndClose())
		wantFile(t, name, append(want, 0))
	})
}

// A View does not keep a snapshot that has grown from being committed in place.
func TestResizeInPlaceUnderView(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		name := join(dir, "f")
		write(t, name, []byte("begin"))
		m, err := snapshot.Config{InPlace: true}.OpenMut(t.Context(), name)
		must(t, err)
		defer m.Close()
		must(t, m.Resize(10000))
		must(t, m.View(0, -1, func([]byte) error { return m.Commit() }))
		wantFile(t, name, append([]byte("begin"), make([]byte, 9995)...))
	})
}

// A snapshot can grow up to the largest size that this process may write, and not beyond.
func TestResizeFileLimit(t *testing.T) {
	const limit = 100_000
	name := join(mounttest.Dir(t, mounttest.Memory), "f")
	write(t, name, nil)
	m := openMut(t, name)
	defer limitFileSize(t, limit)()
	must(t, m.Resize(limit-10))
	must(t, m.Resize(limit))
	if err := m.Resize(limit + 1); err == nil || m.Size() != limit {
		t.Errorf("Resize beyond the limit: %v, size %d", err, m.Size())
	}
}
