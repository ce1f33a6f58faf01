package adapters_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

//promise:adapters.Reader a Reader returns the bytes of its source to reads of any size
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

//promise:adapters.NewReader each Reader has a cursor of its own, which starts at 0
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

// TestBytesAndRunesLikeBytesReader mixes ReadByte, ReadRune and what undoes them with what else moves the cursor,
// beside a bytes.Reader.
//
//promise:adapters.Reader.ReadByte ReadByte is like bytes.Reader.ReadByte, wherever the cursor is
//promise:adapters.Reader.ReadRune ReadRune is like bytes.Reader.ReadRune, wherever the cursor is
//promise:adapters.Reader.UnreadByte UnreadByte is like that of bytes.Reader, wherever the cursor is
//promise:adapters.Reader.Len Len is like bytes.Reader.Len, wherever the cursor is
//promise:adapters.File.Len Len is like bytes.Reader.Len, wherever the cursor is
//promise:adapters.File.UnreadByte UnreadByte is like that of bytes.Reader, wherever the cursor is
func TestBytesAndRunesLikeBytesReader(t *testing.T) {
	content := random(1500)                                       // no UTF-8, or only by chance
	content = append(content, strings.Repeat("aäㄅ𐍈\xff", 137)...) // of one to four bytes
	content = append(content, "𐍈"[:3]...)                         // cut off by the end
	name := put(t, t.TempDir(), "f", content)
	for kind, r := range map[string]byteReader{
		"Mmap":    adapters.NewReader(openMap(t, name)),
		"MmapMut": adapters.NewReader(openMut(t, name)),
		"File":    openFile(t, name),
	} {
		t.Run(kind, func(t *testing.T) {
			unreadable := false // the model has just read a rune
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
					case op < 4:
						c, err := x.r.ReadByte()
						x.res[0], x.res[1] = c, err
						unreadable = false
					case op < 9:
						c, n, err := x.r.ReadRune()
						x.res[0], x.res[1] = fmt.Sprint(c, n), err
						unreadable = err == nil
					case op < 11:
						// bytes.Reader wants it right after ReadRune; here the cursor has to be there.
						if b, ok := x.r.(*bytes.Reader); ok && unreadable {
							x.res[0] = b.UnreadRune() == nil
							unreadable = false
						} else if unreadable {
							x.res[0] = x.r.UnreadRune() == nil
						}
					case op < 13:
						unreadable = false
						x.res[0] = x.r.UnreadByte() == nil
					case op < 14:
						p := make([]byte, arg%300)
						n, err := io.ReadFull(x.r, p)
						x.res[0], x.res[1] = string(p[:n]), err
						unreadable = false
					default:
						_, err := x.r.Seek(arg%3100, io.SeekStart)
						x.res[0], unreadable = err, false
					}
					x.res[2] = x.r.Len() // and not Seek, after which a bytes.Reader unreads nothing
				}
				if got != want {
					t.Fatalf("call %d (%d %d): got %v, want %v", i/3, rnd[i]%16, arg, got, want)
				}
			}
		})
	}
}

// TestReadByteIsNeverOld stores into bytes that a reader ahead would have in its buffer.
//
//promise:adapters.Reader.ReadByte ReadByte returns no byte that was overwritten before the call
//promise:adapters.File.ReadByte ReadByte sees all changes made through the File
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

// TestUnreadRune: it goes back by the rune that was read last, once, and from nowhere else.
//
//promise:adapters.Reader.UnreadRune UnreadRune goes back by the rune that was just read, once
//promise:adapters.File.UnreadRune UnreadRune goes back by the rune that was just read, once
//promise:adapters.Reader.UnreadRune behind the rune, UnreadRune works whatever was called since
//promise:adapters.File.UnreadRune behind the rune, UnreadRune works whatever was called since
//promise:adapters.File.UnreadRune if the bytes were changed since, the next ReadRune returns the new rune
func TestUnreadRune(t *testing.T) {
	name := put(t, t.TempDir(), "f", []byte("äö"))
	for kind, r := range map[string]byteReader{"Mmap": adapters.NewReader(openMap(t, name)), "File": openFile(t, name)} {
		read := func(want rune) {
			t.Helper()
			if c, size, err := r.ReadRune(); c != want || size != 2 || err != nil {
				t.Errorf("%s: ReadRune: %q, %d, %v", kind, c, size, err)
			}
		}
		unread := func(ok bool) {
			t.Helper()
			if err := r.UnreadRune(); (err == nil) != ok {
				t.Errorf("%s: UnreadRune: %v", kind, err)
			}
		}
		unread(false)
		read('ä')
		unread(true)
		unread(false)
		read('ä')
		read('ö')
		if _, err := r.Seek(2, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		unread(false)
		if n := r.Len(); n != 2 {
			t.Errorf("%s: %d bytes are left", kind, n)
		}
		read('ö')
		for _, at := range []int64{4, 0, 4} {
			if _, err := r.Seek(at, io.SeekStart); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := r.ReadRune(); err != io.EOF { //nolint:errorlint // io.EOF is never wrapped
			t.Error(err)
		}
		unread(true)
		read('ö')
		if f, ok := r.(*adapters.File); ok {
			if _, err := f.WriteAt([]byte("ü"), 2); err != nil {
				t.Fatal(err)
			}
			unread(true)
			read('ü')
		}
	}
}

// TestReadRuneIsNeverOld is TestReadByteIsNeverOld for runes.
//
//promise:adapters.File.ReadRune ReadRune sees all changes made through the File
//promise:adapters.Reader.ReadRune ReadRune returns no rune that was overwritten before the call
func TestReadRuneIsNeverOld(t *testing.T) {
	f := openFile(t, put(t, t.TempDir(), "f", []byte("aaaa")))
	for _, want := range "bcde" {
		if _, err := f.WriteAt(bytes.Repeat([]byte{byte(want)}, 4), 0); err != nil {
			t.Fatal(err)
		}
		if got, _, err := f.ReadRune(); got != want || err != nil {
			t.Errorf("ReadRune: %q, %v, want %q", got, err, want)
		}
	}
}

//promise:adapters.Reader after the source is closed each call returns fs.ErrClosed and names itself
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
	if !errors.Is(err, fs.ErrClosed) || n > 512 {
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
//
//promise:adapters no call allocates memory, except a WriteString of more than 128 KiB
func TestNoAllocations(t *testing.T) {
	name := put(t, t.TempDir(), "f", random(1<<20))
	m := openMap(t, name)
	r, f := adapters.NewReader(m), openFile(t, name)
	p, text := make([]byte, 100), strings.Repeat("text", 1000)
	var w io.Writer = onlyWriter{io.Discard}
	grown, fromFS := openFile(t, put(t, t.TempDir(), "g", nil)), openFS(t, filepath.Dir(name), "f")
	if err := grown.Truncate(1 << 20); err != nil { // the first leaf of the sets of pages is there
		t.Fatal(err)
	}
	if _, err := grown.WriteAt(p, 0); err != nil {
		t.Fatal(err)
	}
	end := int64(1 << 20)
	for what, call := range map[string]func(){
		"Reader.Read":     func() { _, _ = r.Read(p) },
		"Reader.ReadByte": func() { _, _ = r.ReadByte() },
		"Reader.Seek":     func() { _, _ = r.Seek(1000, io.SeekStart) },
		"File.ReadByte":   func() { _, _ = f.ReadByte() },
		"Reader.WriteTo":  func() { _, _ = r.WriteTo(w) },
		"File.ReadAt":     func() { _, _ = f.ReadAt(p, 77) },
		"File.WriteAt":    func() { _, _ = f.WriteAt(p, 77) },
		"Reader.ReadAt":   func() { _, _ = r.ReadAt(p, 77) },
		"Reader.ReadRune": func() { _, _, _ = r.ReadRune() },
		"Reader.Len":      func() { _ = r.Len() },
		"File.ReadRune":   func() { _, _, _ = f.ReadRune() },
		"File.Read":       func() { _, _ = f.Read(p) },
		"File.Seek":       func() { _, _ = f.Seek(1000, io.SeekStart) },
		"File.Write":      func() { _, _ = f.Write(p) },
		"WriteString":     func() { _, _ = f.WriteString(text) },
		"growing Write":   func() { _, _ = grown.Seek(0, io.SeekEnd); _, _ = grown.Write(p) },
		"growing WriteAt": func() { end += 50_000; _, _ = grown.WriteAt(p, end) },
		"FS Read":         func() { _, _ = fromFS.Read(p) },
		"FS ReadAt":       func() { _, _ = fromFS.ReadAt(p, 77) },
		"FS Seek":         func() { _, _ = fromFS.Seek(1000, io.SeekStart) },
		"FS ReadByte":     func() { _, _ = fromFS.ReadByte() },
	} {
		if n := testing.AllocsPerRun(100, call); n >= 1 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}
