package adapters_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
)

// A largest writer notes the largest piece that it was given.
type largest struct {
	bytes.Buffer
	piece int
}

func (w *largest) Write(p []byte) (int, error) {
	w.piece = max(w.piece, len(p))
	return w.Buffer.Write(p)
}

// TestWriteToPieces: however much there is, a writer gets 128 KiB at most at once.
//
//promise:adapters.Reader.WriteTo w gets at most 128 KiB in one call
func TestWriteToPieces(t *testing.T) {
	content := random(500_000)
	for kind, r := range copiers(t, content) {
		var w largest
		if n, err := r.WriteTo(&w); n != int64(len(content)) || err != nil {
			t.Errorf("%s: %d, %v", kind, n, err)
		}
		if w.piece > 128<<10 {
			t.Errorf("%s: a piece of %d bytes", kind, w.piece)
		}
		same(t, w.Bytes(), content)
	}
}

// A greedy reader gives pieces of its own size and keeps the buffers that it read into.
type greedy struct {
	pieces [][]byte
	kept   [][]byte
	before func(done int)
	done   int
}

func (r *greedy) Read(p []byte) (int, error) {
	r.before(r.done)
	r.kept = append(r.kept, p)
	if len(r.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.pieces[0])
	r.pieces = r.pieces[1:]
	r.done += n
	return n, nil
}

// TestReadFromPieces: each piece is written before the next is asked for, and what the reader
// keeps is not the file.
//
//promise:adapters.File.ReadFrom each piece is one Write, and r never gets mapped memory
func TestReadFromPieces(t *testing.T) {
	f := openFile(t, put(t, t.TempDir(), "f", nil))
	content := random(1000)
	r := &greedy{
		pieces: [][]byte{content[:1], content[1:100], content[100:100], content[100:]},
		before: func(done int) {
			if f.Size() != int64(done) {
				t.Errorf("the File has %d bytes of %d", f.Size(), done)
			}
		},
	}
	if n, err := f.ReadFrom(r); n != int64(len(content)) || err != nil {
		t.Errorf("ReadFrom: %d, %v", n, err)
	}
	for _, p := range r.kept {
		clear(p)
	}
	got := make([]byte, f.Size())
	if _, err := f.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	same(t, got, content)
}

// TestReadFromWriteFails: the count is that of what was written, the error that of writing.
//
//promise:adapters.File.ReadFrom ReadFrom returns the count, and the error of the write
func TestReadFromWriteFails(t *testing.T) {
	f := openFile(t, put(t, t.TempDir(), "f", nil))
	r := &greedy{pieces: [][]byte{make([]byte, 100), make([]byte, 100)}, before: func(done int) {
		if done == 100 {
			_ = f.Close()
		}
	}}
	if n, err := f.ReadFrom(r); n != 100 || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("ReadFrom: %d, %v", n, err)
	}
}

// TestWriteToOutlivesClose: the kernel is in the middle of a write from the memory of a source
// that is closed. It writes all the same, and the source is closed for what comes next.
//
//promise:adapters.Reader.WriteTo a write in progress keeps the memory mapped after Close
func TestWriteToOutlivesClose(t *testing.T) {
	content := random(1 << 20) // one piece, and more than a socket holds
	m := openMap(t, put(t, t.TempDir(), "f", content))
	if _, err := m.ReadAt(make([]byte, len(content)), 0); err != nil { // what is not in memory is copied
		t.Fatal(err)
	}
	w, peer := socket("unix")(t)
	done := make(chan error)
	go func() {
		n, err := adapters.NewReader(m).WriteTo(w)
		if n != int64(len(content)) {
			t.Errorf("%d bytes were written", n)
		}
		_ = w.Close()
		done <- err
	}()
	first := make([]byte, 1)
	if _, err := io.ReadFull(peer, first); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	rest, err := io.ReadAll(peer)
	if err != nil {
		t.Fatal(err)
	}
	same(t, append(first, rest...), content)
	if err := <-done; !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}
