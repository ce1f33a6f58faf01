package snapshot

import (
	"errors"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// AheadPays are the filesystems on which appends have something put ahead of them.
var AheadPays = []uint32{syscalls.XFS, syscalls.Ext4, syscalls.Tmpfs}

// FsTypeOf returns the type of the filesystem of a directory.
func FsTypeOf(tb testing.TB, dir string) uint32 {
	tb.Helper()
	fd, err := syscalls.OpenDir(noDir, dir)
	if err != nil {
		tb.Fatal(err)
	}
	defer syscalls.Close(fd)
	magic, err := syscalls.FsType(fd)
	if err != nil {
		tb.Fatal(err)
	}
	return magic
}

// Ahead returns how many bytes of the private file take space, as its pages say, behind the size.
func Ahead(tb testing.TB, m *MmapMut) int64 {
	tb.Helper()
	fd := int(m.file.Fd())
	if st, err := syscalls.Fstat(fd); err == nil && isTmpfs(fd) {
		return st.Blocks*512 - m.Size() // what is allocated there is not data yet
	}
	hole, err := syscalls.SeekHole(fd, m.Size())
	if errors.Is(err, syscall.ENXIO) {
		return 0
	}
	if err != nil {
		tb.Fatal(err)
	}
	return hole - m.Size()
}

func isTmpfs(fd int) bool {
	magic, err := syscalls.FsType(fd)
	return err == nil && magic == syscalls.Tmpfs
}
