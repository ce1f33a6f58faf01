package adapters_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
)

// A copier is what Reader and File have for copying out.
type copier interface {
	io.ReadSeeker
	io.WriterTo
}

func copiers(t *testing.T, content []byte) map[string]copier {
	name := put(t, t.TempDir(), "f", content)
	return map[string]copier{
		"Mmap":    adapters.NewReader(openMap(t, name)),
		"MmapMut": adapters.NewReader(openMut(t, name)),
		"File":    openFile(t, name),
	}
}

var errBroken = errors.New("broken")

func kernelFile(t *testing.T) (io.WriteCloser, io.Reader) {
	name := filepath.Join(t.TempDir(), "out")
	w, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return w, r
}

func socket(network string) func(t *testing.T) (io.WriteCloser, io.Reader) {
	return func(t *testing.T) (io.WriteCloser, io.Reader) {
		addr := "127.0.0.1:0"
		if network == "unix" {
			dir, err := os.MkdirTemp("", "s") // the names of sockets must be short
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			addr = filepath.Join(dir, "s")
		}
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Skip(err)
		}
		defer l.Close()
		w, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		r, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		return w, r
	}
}
