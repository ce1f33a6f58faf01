package adapters_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
)

// TestWriteToFault: the kernel meets a page that cannot be read. What lies before it arrives,
// and the error is the disk's.
//
//promise:adapters.Reader.WriteTo WriteTo returns the error of the source
func TestWriteToFault(t *testing.T) {
	for _, bad := range []int{0, 4096, 128 << 10, 200 << 10} {
		for where, open := range map[string]func(t *testing.T) (io.WriteCloser, io.Reader){
			"file": kernelFile, "tcp": socket("tcp"), "unix": socket("unix"),
		} {
			d := newBadDisk(t, 1<<20, bad)
			r := adapters.NewReader(d)
			w, peer := open(t)
			n, err := r.WriteTo(w)
			if n != int64(bad) || !errors.Is(err, errSector) || errors.Is(err, syscall.EFAULT) {
				t.Errorf("%s, bad from %d on: %d, %v", where, bad, n, err)
			}
			if at, _ := r.Seek(0, io.SeekCurrent); at != n {
				t.Errorf("%s, bad from %d on: cursor at %d", where, bad, at)
			}
			if d.views == 0 {
				t.Errorf("%s: the memory was copied", where)
			}
			_ = w.Close()
			got, err := io.ReadAll(peer)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, d.content[:bad])
		}
	}
}

// TestWriteToViewFails: a source whose View fails is read with ReadAt.
//
//promise:adapters.Source a Source of another package works; if its View fails, ReadAt is used
func TestWriteToViewFails(t *testing.T) {
	d := newBadDisk(t, 1<<20, 1<<20-4096)
	d.err = errBroken
	w, _ := kernelFile(t)
	defer w.Close()
	if n, err := adapters.NewReader(d).WriteTo(w); n != d.bad || !errors.Is(err, errSector) {
		t.Errorf("WriteTo: %d, %v", n, err)
	}
}

// countingConn passes for a *net.TCPConn in everything but its type, and looks at what it
// writes.
type countingConn struct {
	*net.TCPConn
	sum int
}

func (c *countingConn) Write(p []byte) (int, error) {
	for _, b := range p {
		c.sum += int(b)
	}
	return c.TCPConn.Write(p)
}

// TestWriteToWrappers: no writer that could touch the memory gets it.
//
//promise:adapters.Reader.WriteTo a writer other than files and sockets gets a copy of the bytes
func TestWriteToWrappers(t *testing.T) {
	var _ syscall.Conn = (*countingConn)(nil)
	tcp, peer := socket("tcp")(t)
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	file, _ := kernelFile(t)
	for name, w := range map[string]io.Writer{
		"countingConn": &countingConn{TCPConn: tcp.(*net.TCPConn)},
		"struct":       struct{ *os.File }{file.(*os.File)},
		"buffer":       new(bytes.Buffer),
		"discard":      io.Discard,
	} {
		d := newBadDisk(t, 1<<20, 4096)
		if n, err := adapters.NewReader(d).WriteTo(w); n != 4096 || !errors.Is(err, errSector) || d.views > 0 {
			t.Errorf("%s: %d, %v, %d views", name, n, err, d.views)
		}
	}
	_, _ = tcp.Close(), file.Close()
}
