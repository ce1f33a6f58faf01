package snapshot_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A disk can be filled by appends to the last page, and what was written is there. Then there is
// room again, and they go on.
//
//promise:snapshot.MmapMut.WriteGrow appends can fill a disk, and all written bytes are there
func TestAppendUntilFull(t *testing.T) {
	onSmallDisks(t, func(t *testing.T, dir string) {
		m := create(t, join(dir, "f"))
		write(t, join(dir, "room"), noise(2, 2<<20+20<<10))
		fill(t, join(dir, "filler"))
		must(t, os.Remove(join(dir, "room")))
		data := noise(1, 4<<20)
		size, err := 0, error(nil)
		for err == nil {
			var n int
			n, err = m.WriteGrow(data[size:size+4096], int64(size))
			size += n
		}
		if !errors.Is(err, syscall.ENOSPC) || m.Size() != int64(size) || size < 1<<20 {
			t.Fatalf("%v; %d bytes were written, the size is %d", err, size, m.Size())
		}
		wantBytes(t, "ReadAt", byReadAt(t, m), data[:size])

		// What was cut off does not show later, though there was space for a part of the last append.
		must(t, os.Remove(join(dir, "filler")))
		must(t, m.Resize(int64(size-5000)))
		must(t, m.Resize(int64(size)))
		wantBytes(t, "ReadAt", byReadAt(t, m), append(data[:size-5000:size-5000], make([]byte, 5000)...))

		must(t, m.Resize(int64(size/2)))
		appendTo(t, m, data[:size/2+200_000], 4096)
		must(t, m.CommitAndClose())
		wantFile(t, join(dir, "f"), data[:size/2+200_000])
	})
}

// A limit of the size of files is an error of the append that would pass it, and only of that.
//
//promise:snapshot.MmapMut.WriteGrow the append that would pass RLIMIT_FSIZE fails with EFBIG
func TestAppendFileLimit(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := join(dir, "f")
		data := noise(1, 100_000)
		m := create(t, name)
		appendTo(t, m, data[:45_000], 5000)
		undo := limitFileSize(t, 50_000)
		n, err := m.WriteGrow(data[45_000:60_000], 45_000)
		undo()
		if !errors.Is(err, syscall.EFBIG) || n > 5000 || m.Size() != int64(45_000+n) {
			t.Errorf("%d, %v; size %d", n, err, m.Size())
		}
		appendTo(t, m, data, 5000)
		must(t, m.CommitAndClose())
		wantFile(t, name, data)
	})
}
