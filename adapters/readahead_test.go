package adapters_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// asked is a source that notes how much it is asked for.
type asked struct {
	*snapshot.Mmap
	sizes []int
}

func (a *asked) ReadAt(p []byte, off int64) (int, error) {
	a.sizes = append(a.sizes, len(p))
	return a.Mmap.ReadAt(p, off)
}

// TestReadsNothingAhead: of a source that may change, no more is read than is asked for.
//
//promise:adapters.Reader.ReadByte over other sources ReadByte reads no byte ahead
//promise:adapters.Reader.ReadRune over other sources ReadRune reads at most four bytes
func TestReadsNothingAhead(t *testing.T) {
	src := &asked{Mmap: openMap(t, put(t, t.TempDir(), "f", []byte("aäb")))}
	r := adapters.NewReader(src)
	for range 2 {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		src.sizes = nil
		for range 4 {
			if _, err := r.ReadByte(); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(src.sizes, []int{1, 1, 1, 1}) {
			t.Errorf("ReadByte reads %v", src.sizes)
		}
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		src.sizes = nil
		for range 3 {
			if _, _, err := r.ReadRune(); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(src.sizes, []int{4, 4, 4}) {
			t.Errorf("ReadRune reads %v", src.sizes)
		}
	}
}

// TestReadsAhead: a Reader over what never changes and a File read ahead, and no more than 512
// bytes. It shows where something changes behind the File's back, and where the source is
// closed.
//
//promise:adapters.Reader.ReadByte after the source is closed up to 512 buffered bytes remain
//promise:adapters.Reader.ReadByte over a *snapshot.Mmap ReadByte reads up to 512 bytes ahead
//promise:adapters.FS ReadByte of an open file reads up to 512 bytes ahead
//promise:adapters.File.ReadByte ReadByte returns no byte after Close of the File
//promise:adapters.File.ReadByte after Close of the snapshot up to 512 buffered bytes remain
//promise:adapters.File.ReadByte up to 512 bytes ignore changes made through the snapshot
func TestReadsAhead(t *testing.T) {
	const ahead = 512
	dir := t.TempDir()
	name := put(t, dir, "f", bytes.Repeat([]byte("a"), 2000))
	for what, read := range map[string]func(r byteReader) (rune, error){
		"ReadByte": func(r byteReader) (rune, error) { c, err := r.ReadByte(); return rune(c), err },
		"ReadRune": func(r byteReader) (rune, error) { c, _, err := r.ReadRune(); return c, err },
	} {
		m := openMut(t, name)
		f := adapters.NewFile(m)
		if _, err := read(f); err != nil {
			t.Fatal(err)
		}
		if _, err := m.WriteAt(bytes.Repeat([]byte("b"), 2000), 0); err != nil {
			t.Fatal(err)
		}
		for i := 1; i < 2000; i++ {
			want := map[bool]rune{true: 'a', false: 'b'}[i < ahead]
			if c, err := read(f); c != want || err != nil {
				t.Fatalf("%s of a File, byte %d: %q, %v, want %q", what, i, c, err, want)
			}
		}

		mut, mmap, fsFile := openMut(t, name), openMap(t, name), openFS(t, dir, "f")
		other, file := &asked{Mmap: openMap(t, name)}, openFile(t, name)
		for kind, x := range map[string]struct {
			r      byteReader
			source io.Closer
			left   int // how many bytes are there after Close
		}{
			"a Reader over a Mmap":         {adapters.NewReader(mmap), mmap, ahead - 1},
			"a file of an FS":              {fsFile, fsFile.(io.Closer), ahead - 1},
			"a File, its snapshot closed":  {adapters.NewFile(mut), mut, ahead - 1},
			"a File that is closed":        {file, file, 0},
			"a Reader over a MmapMut":      {adapters.NewReader(m), m, 0},
			"a Reader over something else": {adapters.NewReader(other), other, 0},
		} {
			if _, err := read(x.r); err != nil {
				t.Fatal(err)
			}
			if err := x.source.Close(); err != nil {
				t.Fatal(err)
			}
			n := 0
			_, err := read(x.r)
			for ; err == nil && n < 2000; n++ {
				_, err = read(x.r)
			}
			if n != x.left || !errors.Is(err, fs.ErrClosed) {
				t.Errorf("%s of %s: %d after Close, want %d; %v", what, kind, n, x.left, err)
			}
			for op, err := range map[string]error{"UnreadByte": x.r.UnreadByte(), "UnreadRune": x.r.UnreadRune()} {
				if !errors.Is(err, fs.ErrClosed) {
					t.Errorf("%s of %s: %v", op, kind, err)
				}
			}
		}
	}
}

// TestReadByteBesideWrites: a byte that was written before ReadByte is called is never missed,
// whatever was read ahead while it was written.
//
//promise:adapters.File.ReadByte beside writes ReadByte sees each byte written before the call
func TestReadByteBesideWrites(t *testing.T) {
	f := openFile(t, put(t, t.TempDir(), "f", make([]byte, 10)))
	steps := uint32(mounttest.Count(10_000, 100_000, 1_000_000))
	var written, seen atomic.Uint32 // the last version
	var wg sync.WaitGroup
	defer wg.Wait()
	defer seen.Store(steps) // if the test fails
	wg.Go(func() {
		for i := uint32(1); i <= steps; i++ {
			if _, err := f.WriteAt([]byte{byte(i)}, 0); err != nil {
				t.Error(err)
			}
			written.Store(i)
			for seen.Load() < i {
				runtime.Gosched()
			}
		}
	})
	for i := uint32(1); i <= steps; {
		least := written.Load()
		_, err := f.Seek(0, io.SeekStart)
		c, cerr := f.ReadByte()
		if err != nil || cerr != nil || c != byte(i) && (c != byte(i-1) || least == i) {
			t.Fatalf("version %d after %d was written, %v, %v", c, byte(least), err, cerr)
		}
		if least == i {
			seen.Store(i)
			i++
		} else {
			runtime.Gosched() // on one processor, the writer runs at once
		}
	}
}
