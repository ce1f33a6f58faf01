package adapters_test

import (
	"bufio"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
)

func open(b *testing.B, name string) *os.File {
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	return f
}

// BenchmarkBytes reads 1 MiB byte by byte.
//
//promise:adapters.Reader.ReadByte over a *snapshot.Mmap ReadByte is as fast as a bufio.Reader's
//promise:adapters.Reader.ReadByte over other sources ReadByte takes some 30 ns
//promise:adapters.File.ReadByte ReadByte takes some 20 ns
func BenchmarkBytes(b *testing.B) {
	const size = 1 << 20
	name := put(b, b.TempDir(), "f", random(size))
	for _, x := range []struct {
		name  string
		r     io.ReadSeeker
		bufio bool
	}{
		{"bufio-os", open(b, name), true},
		{"mmap", adapters.NewReader(openMap(b, name)), false},
		{"mmapmut", adapters.NewReader(openMut(b, name)), false},
		{"file", openFile(b, name), false},
		{"bufio-file", openFile(b, name), true},
	} {
		b.Run("reader="+x.name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				_, _ = x.r.Seek(0, io.SeekStart)
				r, _ := x.r.(io.ByteReader)
				if x.bufio {
					r = bufio.NewReader(x.r)
				}
				for range size {
					if _, err := r.ReadByte(); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkGunzip is for a decoder that calls ReadByte if there is one.
//
//promise:adapters.Reader.ReadByte a decompressor needs no bufio.Reader over a *snapshot.Mmap
func BenchmarkGunzip(b *testing.B) {
	content := tarred(b)
	name := put(b, b.TempDir(), "f", gzipped(b, content))
	m, f, file := openMap(b, name), openFile(b, name), open(b, name)
	for _, x := range []struct {
		name string
		open func() io.Reader
	}{
		{"os", func() io.Reader { _, _ = file.Seek(0, io.SeekStart); return file }},
		{"mmap", func() io.Reader { return adapters.NewReader(m) }},
		{"file", func() io.Reader { _, _ = f.Seek(0, io.SeekStart); return f }},
		{"bufio-file", func() io.Reader { _, _ = f.Seek(0, io.SeekStart); return bufio.NewReader(f) }},
	} {
		b.Run("reader="+x.name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				z, err := gzip.NewReader(x.open())
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(onlyWriter{io.Discard}, z); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWriteTo copies 16 MiB that are in memory.
//
//promise:adapters.Reader.WriteTo WriteTo to files and sockets saves the cost of a copy
func BenchmarkWriteTo(b *testing.B) {
	const size = 16 << 20
	name := put(b, b.TempDir(), "f", random(size))
	r := adapters.NewReader(openMap(b, name))
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	out, err := os.Create(filepath.Join(b.TempDir(), "out"))
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	for _, x := range []struct {
		name string
		w    io.WriteSeeker
	}{
		{"null-kernel", null},
		{"null-buffer", struct{ io.WriteSeeker }{null}},
		{"file-kernel", out},
		{"file-buffer", struct{ io.WriteSeeker }{out}},
	} {
		b.Run("writer="+x.name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				_, _ = x.w.Seek(0, io.SeekStart)
				_, _ = r.Seek(0, io.SeekStart)
				if n, err := r.WriteTo(x.w); n != size || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

// BenchmarkReadAt reads 64 bytes and 4 KiB at changing places.
//
//promise:adapters.Reader a Reader adds no cost to ReadAt
//promise:adapters.File the cursor costs a mutex
func BenchmarkReadAt(b *testing.B) {
	const size = 1 << 20
	name := put(b, b.TempDir(), "f", random(size))
	for _, n := range []int{64, 4096} {
		for _, x := range []struct {
			name string
			r    io.ReaderAt
		}{{"os", open(b, name)}, {"reader", adapters.NewReader(openMap(b, name))}, {"file", openFile(b, name)}} {
			b.Run("via="+x.name+"/size="+map[int]string{64: "64B", 4096: "4KiB"}[n], func(b *testing.B) {
				p := make([]byte, n)
				off := int64(0)
				b.SetBytes(int64(n))
				for b.Loop() {
					if _, err := x.r.ReadAt(p, off); err != nil {
						b.Fatal(err)
					}
					off = (off + 4096) % size
				}
			})
		}
	}
}
