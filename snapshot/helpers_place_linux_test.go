package snapshot_test

import (
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// Where the private copy lies.
const (
	nowhere     = "nowhere"
	inDirectory = "beside the file"
	temporary   = "TempDir"
	inMemory    = "memory"
)

// placeOf returns where the private copy behind m lies, if TempDir is temp.
func placeOf(t *testing.T, m *snapshot.Mmap, temp string) string {
	t.Helper()
	path, err := syscalls.FDPath(snapshot.Region(m).FD())
	must(t, err)
	switch {
	case strings.HasPrefix(path, "/memfd:"):
		return inMemory
	case strings.HasPrefix(path, temp+"/"):
		return temporary
	}
	return inDirectory
}
