package peers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/edsrzf/mmap-go"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	xmmap "golang.org/x/exp/mmap"
)

// A readCloser is a file open in one way.
type readCloser interface {
	io.ReaderAt
	io.Closer
}

var openers = map[string]func(name string) (readCloser, error){
	"os.File":    func(name string) (readCloser, error) { return os.Open(name) },
	"x/exp/mmap": func(name string) (readCloser, error) { return xmmap.Open(name) },
	"mmap-go":    openMmapGo,
	ours:         func(name string) (readCloser, error) { return snapshot.Open(name) },
}

// A mmapGo reads as its users do, from the slice.
type mmapGo struct {
	slice
	f *os.File
}

func openMmapGo(name string) (readCloser, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	m, err := mmap.Map(f, mmap.RDONLY, 0)
	return &mmapGo{slice(m), f}, err
}

func (m *mmapGo) Close() error {
	mem := mmap.MMap(m.slice)
	return errors.Join(mem.Unmap(), m.f.Close())
}

// withOpeners makes a scenario's part for each way to open a file.
func withOpeners(f func(t *testing.T, dir string, open func(name string) (readCloser, error)) string) map[string]func(*testing.T, string) string {
	m := map[string]func(*testing.T, string) string{}
	for name, open := range openers {
		m[name] = func(t *testing.T, dir string) string { return f(t, dir, open) }
	}
	return m
}

const readSize = 256 * kib

// While one goroutine reads, another closes, and opens another file, which the kernel likes to
// map at the same addresses.
var closeScenario = scenario{"read beside Close", mounttest.Reflinks, withOpeners(readBesideClose), "an error after Close"}

func readBesideClose(t *testing.T, dir string, open func(name string) (readCloser, error)) string {
	a := file(t, dir, "a", bytes.Repeat([]byte{'a'}, readSize))
	b := file(t, dir, "b", bytes.Repeat([]byte{'b'}, readSize))
	for range 300 {
		r, err := open(a)
		check(t, err)
		saw, reading := make(chan string), make(chan bool)
		go func() { saw <- readUntilClosed(r, reading) }()
		<-reading
		check(t, r.Close())
		other, err := open(b)
		check(t, err)
		if s := <-saw; s != "an error after Close" {
			return s
		}
		check(t, other.Close())
	}
	return "an error after Close"
}

func readUntilClosed(r io.ReaderAt, reading chan<- bool) string {
	p := make([]byte, 16*kib)
	for i := 0; ; i++ {
		n, err := r.ReadAt(p, int64(i%8)*16*kib)
		if i == 10 {
			close(reading)
		}
		if bytes.Contains(p[:n], []byte{'b'}) {
			return "another file's bytes, no error"
		}
		// A read that fails because of a Close has either of these two texts.
		if errors.Is(err, fs.ErrClosed) || err != nil && err.Error() == "mmap: closed" {
			if i < 10 {
				close(reading)
			}
			return "an error after Close"
		}
		if err != nil {
			return err.Error()
		}
	}
}

// Somebody else empties the file before it is read to its end.
var truncateScenario = scenario{"file truncated meanwhile", mounttest.Reflinks, withOpeners(readTruncated), "all that was there when it was opened"}

func readTruncated(t *testing.T, dir string, open func(name string) (readCloser, error)) string {
	want := random(readSize)
	r, err := open(file(t, dir, "f", want))
	check(t, err)
	check(t, os.Truncate(filepath.Join(dir, "f"), 0))
	got := make([]byte, readSize)
	n, err := r.ReadAt(got, 0)
	if err == nil && bytes.Equal(got, want) {
		return "all that was there when it was opened"
	}
	return fmt.Sprintf("%d of %d bytes, %v", n, readSize, err)
}
