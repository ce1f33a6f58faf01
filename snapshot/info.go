package snapshot

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A source is what a snapshot remembers of the file it was made of. Constant after creation.
type source struct {
	name   string // as it was given
	stat   syscalls.Stat
	method Method
	owner  uint32   // of the private copy
	file   *os.File // the private copy; it counts its users, so that no read meets a reused descriptor number
}

// Name returns the name that was given to open the snapshot.
func (s *source) Name() string { return s.name }

// Method tells how the private copy was made.
func (s *source) Method() Method { return s.method }

// fileInfo is an fs.FileInfo.
type fileInfo struct {
	name string
	size int64
	stat syscalls.Stat
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return i.stat.Mode }
func (i fileInfo) ModTime() time.Time { return i.stat.Mtime }
func (i fileInfo) IsDir() bool        { return false }
func (i fileInfo) Sys() any           { return i.stat.Sys }

func (s *source) info(size int64) fs.FileInfo {
	return fileInfo{filepath.Base(s.name), size, s.stat}
}
