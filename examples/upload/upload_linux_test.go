package main

import (
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// An object comes back as it was sent, whatever its size, and leaves nothing behind.
func TestThereAndBack(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	for _, size := range []int{0, 1, part - 1, part, part + 1, 3*part + 7} {
		content := version(size, size)
		file := programtest.Put(t, dir, "file", content)
		call(t, file, name).Want(t, 0, itoa(size)+" bytes, full-object CRC-64/NVME", "")
		wantContent(t, s.content(t), content)
		call(t, "-verify", name).Want(t, 0, "verified by full-object", "")
		call(t, "-verify", name, file).Want(t, 0, "the same as "+file, "")
	}
	s.wantNoUploads(t)
	mounttest.WantNames(t, dir, "file")
}
