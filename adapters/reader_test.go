package adapters_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"testing"
	"testing/iotest"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// sizes are around the ends of pages and of the buffers that are used.
var sizes = []int{
	0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128<<10 - 1, 128 << 10, 128<<10 + 1,
}

func TestIotest(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		for _, size := range sizes {
			content := random(size)
			name := put(t, dir, strconv.Itoa(size), content)
			m, mut, f := openMap(t, name), openMut(t, name), openFile(t, name)
			for kind, r := range map[string]io.Reader{
				"Mmap": adapters.NewReader(m), "MmapMut": adapters.NewReader(mut), "File": f,
			} {
				if err := iotest.TestReader(r, content); err != nil {
					t.Errorf("%s of %d bytes: %v", kind, size, err)
				}
			}
			_, _, _ = m.Close(), mut.Close(), f.Close()
		}
	})
}

func TestReadersAreIndependent(t *testing.T) {
	content := random(10000)
	m := openMap(t, put(t, t.TempDir(), "f", content))
	a, b := adapters.NewReader(m), adapters.NewReader(m)
	head := make([]byte, 5000)
	if _, err := io.ReadFull(a, head); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	same(t, all, content)
	tail, err := io.ReadAll(a)
	if err != nil {
		t.Fatal(err)
	}
	same(t, append(head, tail...), content)
}

// byteReader is what Reader, File and bytes.Reader can do with bytes.
type byteReader interface {
	io.ReadSeeker
	io.ByteScanner
}

// TestBytes mixes ReadByte and UnreadByte with what else moves the cursor, beside a
// bytes.Reader.
func TestBytes(t *testing.T) {
	content := random(3000)
	name := put(t, t.TempDir(), "f", content)
	for kind, r := range map[string]byteReader{
		"Mmap":    adapters.NewReader(openMap(t, name)),
		"MmapMut": adapters.NewReader(openMut(t, name)),
		"File":    openFile(t, name),
	} {
		t.Run(kind, func(t *testing.T) {
			model := bytes.NewReader(content)
			rnd := random(mounttest.Count(20000, 100000, 1000000))
			for i := 0; i+2 < len(rnd); i += 3 {
				arg := int64(rnd[i+1])<<8 | int64(rnd[i+2])
				var got, want [3]any
				for _, x := range []struct {
					r   byteReader
					res *[3]any
				}{{r, &got}, {model, &want}} {
					switch op := rnd[i] % 16; {
					case op < 10:
						c, err := x.r.ReadByte()
						x.res[0], x.res[1] = c, err
					case op < 13:
						x.res[0] = x.r.UnreadByte() == nil
					case op < 14:
						p := make([]byte, arg%300)
						n, err := io.ReadFull(x.r, p)
						x.res[0], x.res[1] = string(p[:n]), err
					default:
						_, err := x.r.Seek(arg%3100, io.SeekStart)
						x.res[0] = err
					}
					x.res[2], _ = x.r.Seek(0, io.SeekCurrent)
				}
				if got != want {
					t.Fatalf("call %d (%d %d): got %v, want %v", i/3, rnd[i]%16, arg, got, want)
				}
			}
		})
	}
}

// TestReadByteIsNeverOld stores into bytes that a reader ahead would have in its buffer.
func TestReadByteIsNeverOld(t *testing.T) {
	name := put(t, t.TempDir(), "f", []byte("aaaa"))
	m := openMut(t, name)
	f := adapters.NewFile(m)
	for _, r := range []byteReader{adapters.NewReader(m), f} {
		for _, want := range []byte("bcde") {
			if _, err := f.WriteAt(bytes.Repeat([]byte{want}, 4), 0); err != nil {
				t.Fatal(err)
			}
			if got, err := r.ReadByte(); got != want || err != nil {
				t.Fatalf("ReadByte: %q, %v, want %q", got, err, want)
			}
			// The byte before must not come from the past, either.
			if err := r.UnreadByte(); err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte("zzzz"), 0); err != nil {
				t.Fatal(err)
			}
			if got, err := r.ReadByte(); got != 'z' || err != nil {
				t.Fatalf("ReadByte after UnreadByte: %q, %v, want 'z'", got, err)
			}
		}
	}
}

func TestReaderOverClosed(t *testing.T) {
	m := openMap(t, put(t, t.TempDir(), "f", random(10000)))
	r := adapters.NewReader(m)
	if _, err := r.ReadByte(); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	var err error
	for ; err == nil; n++ {
		_, err = r.ReadByte()
	}
	if !errors.Is(err, fs.ErrClosed) || n > 1000 {
		t.Errorf("ReadByte: %d bytes, then %v", n, err)
	}
	_, seekErr := r.Seek(0, io.SeekEnd)
	_, writeErr := r.WriteTo(io.Discard)
	for op, err := range map[string]error{"seek": seekErr, "read": writeErr} {
		var e *fs.PathError
		if !errors.Is(err, fs.ErrClosed) || !errors.As(err, &e) || e.Op != op || e.Path != m.Name() {
			t.Errorf("%s: %v", op, err)
		}
	}
}

// TestFileClosed: a closed File gives nothing of what it has read ahead.
func TestFileClosed(t *testing.T) {
	f := openFile(t, put(t, t.TempDir(), "f", random(100)))
	if _, err := f.ReadByte(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := f.ReadByte(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("ReadByte: %d, %v", c, err)
	}
}

// TestNoAllocations holds the calls that programs make millions of to none.
func TestNoAllocations(t *testing.T) {
	name := put(t, t.TempDir(), "f", random(1<<20))
	m := openMap(t, name)
	r, f := adapters.NewReader(m), openFile(t, name)
	p := make([]byte, 100)
	var w io.Writer = onlyWriter{io.Discard}
	for what, call := range map[string]func(){
		"Reader.Read":     func() { _, _ = r.Read(p) },
		"Reader.ReadByte": func() { _, _ = r.ReadByte() },
		"Reader.Seek":     func() { _, _ = r.Seek(1000, io.SeekStart) },
		"File.ReadByte":   func() { _, _ = f.ReadByte() },
		"Reader.WriteTo":  func() { _, _ = r.WriteTo(w) },
		"File.ReadAt":     func() { _, _ = f.ReadAt(p, 77) },
		"File.WriteAt":    func() { _, _ = f.WriteAt(p, 77) },
	} {
		if n := testing.AllocsPerRun(100, call); n >= 1 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

type onlyWriter struct{ io.Writer }
