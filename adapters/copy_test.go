package adapters_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"testing"
	"testing/iotest"
)

// A limited writer takes some bytes, then returns err.
type limited struct {
	bytes.Buffer
	left int
	err  error
	past int // what it claims to have taken beyond that
}

func (w *limited) Write(p []byte) (int, error) {
	if len(p) <= w.left {
		w.left -= len(p)
		return w.Buffer.Write(p)
	}
	n := w.left
	w.left = 0
	_, _ = w.Buffer.Write(p[:n])
	return n + w.past, w.err
}

//promise:adapters.Reader.WriteTo the cursor moves by the count that w accepts
//promise:adapters.Reader.WriteTo WriteTo returns the error of w, or io.ErrShortWrite
func TestWriteToWriterFails(t *testing.T) {
	content := random(500_000)
	const from = 1000
	for _, left := range []int{0, 1, 4096, 128 << 10, 128<<10 + 1, 300_000} {
		for _, x := range []struct {
			name string
			w    *limited
			want error
		}{
			{"error", &limited{err: errBroken}, errBroken},
			{"short", &limited{}, io.ErrShortWrite},
		} {
			for kind, r := range copiers(t, content) {
				w := *x.w
				w.left = left
				if _, err := r.Seek(from, io.SeekStart); err != nil {
					t.Fatal(err)
				}
				n, err := r.WriteTo(&w)
				if n != int64(left) || !errors.Is(err, x.want) {
					t.Errorf("%s, %s after %d bytes: %d, %v", kind, x.name, left, n, err)
				}
				same(t, w.Bytes(), content[from:from+left])
				if at, err := r.Seek(0, io.SeekCurrent); at != int64(from+left) || err != nil {
					t.Errorf("%s, %s after %d bytes: cursor at %d, %v", kind, x.name, left, at, err)
				}
				// It goes on where the writer stopped.
				rest, err := io.ReadAll(onlyReader{r})
				if err != nil {
					t.Fatal(err)
				}
				same(t, rest, content[from+left:])
			}
		}
	}
}

func TestWriteToLyingWriter(t *testing.T) {
	for kind, r := range copiers(t, random(5000)) {
		for _, past := range []int{-1, 1 << 30} {
			n, err := r.WriteTo(&limited{past: past})
			if n != 0 || err == nil {
				t.Errorf("%s, %d too many: %d, %v", kind, past, n, err)
			}
		}
	}
}

// TestWriteToKernel writes to what takes the mapped memory as it is, small and large, with a
// peer that reads slowly enough for short writes.
//
//promise:adapters.Reader.WriteTo *os.File, *net.TCPConn and *net.UnixConn get mapped memory
func TestWriteToKernel(t *testing.T) {
	content := random(1_000_000)
	for kind, r := range copiers(t, content) {
		for where, open := range map[string]func(t *testing.T) (io.WriteCloser, io.Reader){
			"file": kernelFile, "pipe": kernelPipe, "tcp": socket("tcp"), "unix": socket("unix"),
		} {
			t.Run(kind+"/"+where, func(t *testing.T) {
				if _, err := r.Seek(10, io.SeekStart); err != nil {
					t.Fatal(err)
				}
				w, peer := open(t)
				got := make(chan []byte)
				go func() {
					if where == "file" {
						got <- nil
						return
					}
					p, _ := io.ReadAll(peer)
					got <- p
				}()
				n, err := r.WriteTo(w)
				if n != int64(len(content)-10) || err != nil {
					t.Errorf("WriteTo: %d, %v", n, err)
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				p := <-got
				if where == "file" {
					p, _ = io.ReadAll(peer)
				}
				same(t, p, content[10:])
			})
		}
	}
}

func kernelPipe(t *testing.T) (io.WriteCloser, io.Reader) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return w, r
}

//promise:adapters.File.ReadFrom ReadFrom returns the count, and the error of r
func TestReadFromReaderFails(t *testing.T) {
	content := random(300_000)
	for _, r := range []io.Reader{
		io.MultiReader(bytes.NewReader(content), iotest.ErrReader(errBroken)),
		io.MultiReader(iotest.OneByteReader(bytes.NewReader(content[:5000])), iotest.HalfReader(bytes.NewReader(content[5000:])), iotest.ErrReader(errBroken)),
		iotest.DataErrReader(io.MultiReader(bytes.NewReader(content), iotest.ErrReader(errBroken))),
	} {
		f := openFile(t, put(t, t.TempDir(), "f", []byte("12345")))
		if _, err := f.Seek(3, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		n, err := f.ReadFrom(r)
		if n != int64(len(content)) || !errors.Is(err, errBroken) {
			t.Errorf("ReadFrom: %d, %v", n, err)
		}
		if at, _ := f.Seek(0, io.SeekCurrent); at != 3+n {
			t.Errorf("cursor at %d", at)
		}
		got := make([]byte, f.Size())
		if _, err := f.ReadAt(got, 0); err != nil {
			t.Fatal(err)
		}
		same(t, got, append([]byte("123"), content...))
	}
}

// TestReadFromClosed: what nobody can write is not read.
//
//promise:adapters.File.ReadFrom after Close ReadFrom reads nothing from r
func TestReadFromClosed(t *testing.T) {
	f := openFile(t, put(t, t.TempDir(), "f", nil))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader([]byte("data"))
	if n, err := f.ReadFrom(onlyReader{r}); n != 0 || !errors.Is(err, fs.ErrClosed) || r.Len() != 4 {
		t.Errorf("ReadFrom: %d, %v, and took %d bytes", n, err, 4-r.Len())
	}
}

// TestCopyToItself must end, whatever comes out.
//
//promise:adapters.File.WriteTo WriteTo holds no lock: w may be the File itself
func TestCopyToItself(t *testing.T) {
	f := openFile(t, put(t, t.TempDir(), "f", random(200_000)))
	if _, err := io.Copy(f, f); err != nil {
		t.Error(err)
	}
	if _, err := f.ReadFrom(onlyReader{f}); err != nil {
		t.Error(err)
	}
}
