package benchmarks

import (
	"errors"
	"io"
	"os"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A mapping is a file mapped as it is, with nothing to guard it, as golang.org/x/exp/mmap maps it.
// It is the limit for reads from memory by io.ReaderAt; in peers is that package itself.
type mapping []byte

func openMapping(name string) (mapping, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return syscalls.Mmap(int(f.Fd()), int(fi.Size()), false)
}

func (m mapping) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(m)) {
		return 0, errors.New("no such offset")
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m mapping) Close() error { return syscalls.Munmap(m) }
