package adapters_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// TestCursorTakesTurns has many write at the cursor of one File, then many read there: nothing
// is overwritten, nothing read twice.
//
//promise:adapters.File parallel calls at the cursor read or write no byte twice
func TestCursorTakesTurns(t *testing.T) {
	const goroutines = 4
	each := mounttest.Count(500, 5000, 20000)
	f := openFile(t, put(t, t.TempDir(), "f", nil))
	together := func(do func(g int)) {
		var wg sync.WaitGroup
		start := make(chan struct{})
		for g := range goroutines {
			wg.Go(func() { <-start; do(g) })
		}
		close(start)
		wg.Wait()
	}
	together(func(g int) {
		p := make([]byte, record)
		for i := range each {
			fill(p, i*goroutines+g)
			write := f.Write
			if g%2 == 0 {
				write = func(p []byte) (int, error) { return f.WriteString(string(p)) }
			}
			if n, err := write(p); n != record || err != nil {
				t.Error(n, err)
			}
		}
	})
	if size := f.Size(); size != int64(goroutines*each*record) {
		t.Fatalf("%d bytes, want %d", size, goroutines*each*record)
	}
	got := make([]byte, f.Size())
	if _, err := f.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	written := make([]bool, goroutines*each)
	for p := range slices.Chunk(got, record) {
		k := int(binary.LittleEndian.Uint64(p)) - 1 // as in fill
		if k < 0 || written[k] {
			t.Fatalf("record %d is there twice", k)
		}
		_, written[k] = whole(p, k)
		if !written[k] {
			t.Fatalf("record %d is torn", k)
		}
	}

	// Each byte is read as often as it is there.
	numbers := make([]byte, 1000*each)
	for i := range numbers {
		numbers[i] = byte(i % 125)
	}
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(numbers, 0); err != nil {
		t.Fatal(err)
	}
	for what, read := range map[string]func() (byte, error){
		"Read":     func() (byte, error) { var p [1]byte; _, err := f.Read(p[:]); return p[0], err },
		"ReadByte": f.ReadByte,
		"ReadRune": func() (byte, error) { c, _, err := f.ReadRune(); return byte(c), err },
	} {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		var count [125]atomic.Int64
		together(func(int) {
			for c, err := read(); !errors.Is(err, io.EOF); c, err = read() {
				if err != nil || int(c) >= len(count) {
					t.Error(what, c, err)
					return
				}
				count[c].Add(1)
			}
		})
		for c := range count {
			if n := count[c].Load(); n != int64(len(numbers)/len(count)) {
				t.Errorf("%s: %d was read %d times, want %d", what, c, n, len(numbers)/len(count))
				break
			}
		}
	}
}

// TestCursorIsNeeded: what uses the cursor waits for whoever uses it.
//
//promise:adapters.File calls that use the cursor take turns
func TestCursorIsNeeded(t *testing.T) {
	f := openFile(t, put(t, t.TempDir(), "f", random(100)))
	release := adapters.HoldCursor(f)
	var released atomic.Bool
	var wg sync.WaitGroup
	for what, call := range map[string]func(){
		"Read":        func() { _, _ = f.Read(make([]byte, 1)) },
		"ReadByte":    func() { _, _ = f.ReadByte() },
		"ReadRune":    func() { _, _, _ = f.ReadRune() },
		"UnreadByte":  func() { _ = f.UnreadByte() },
		"UnreadRune":  func() { _ = f.UnreadRune() },
		"Write":       func() { _, _ = f.Write(make([]byte, 1)) },
		"WriteString": func() { _, _ = f.WriteString("x") },
		"Seek":        func() { _, _ = f.Seek(0, io.SeekStart) },
		"Len":         func() { _ = f.Len() },
		"WriteTo":     func() { _, _ = f.WriteTo(io.Discard) },
		"ReadFrom":    func() { _, _ = f.ReadFrom(onlyReader{bytes.NewReader(make([]byte, 1))}) },
	} {
		wg.Go(func() {
			call()
			if !released.Load() {
				t.Errorf("%s did not wait", what)
			}
		})
	}
	time.Sleep(20 * time.Millisecond) // for those who do not wait
	released.Store(true)
	release()
	soon("a method", wg.Wait)
}

// TestCursorIsNotNeeded: what does not use the cursor does not wait for those who do.
//
//promise:adapters.File.ReadAt ReadAt does not wait for calls that use the cursor
//promise:adapters.File.WriteAt WriteAt does not wait for calls that use the cursor
//promise:adapters.File.Truncate Truncate does not wait for calls that use the cursor
//promise:adapters.File.Stat Stat does not wait for calls that use the cursor
//promise:adapters.File.Size Size does not wait for calls that use the cursor
//promise:adapters.File.Sync Sync does not wait for calls that use the cursor
func TestCursorIsNotNeeded(t *testing.T) {
	f := openFile(t, put(t, t.TempDir(), "f", random(100)))
	defer adapters.HoldCursor(f)()
	for what, call := range map[string]func() error{
		"ReadAt":         func() error { _, err := f.ReadAt(make([]byte, 10), 0); return err },
		"WriteAt":        func() error { _, err := f.WriteAt(make([]byte, 10), 0); return err },
		"WriteAt, grows": func() error { _, err := f.WriteAt(make([]byte, 10), 95); return err },
		"Truncate":       func() error { return f.Truncate(100) },
		"Stat":           func() error { _, err := f.Stat(); return err },
		"Size and Name":  func() error { _, _ = f.Size(), f.Name(); return nil },
		"Sync":           f.Sync,
	} {
		soon(what, func() {
			if err := call(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
}

// TestReaderBesideReadAt: ReadAt and Size of a Reader neither need nor move its cursor, so they
// may be called while somebody else reads from it.
//
//promise:adapters.Reader.ReadAt ReadAt neither uses nor moves the cursor, on any goroutine
//promise:adapters.Reader.Size Size neither uses nor moves the cursor, on any goroutine
func TestReaderBesideReadAt(t *testing.T) {
	content := random(100_000)
	r := adapters.NewReader(openMap(t, put(t, t.TempDir(), "f", content)))
	for range 3 {
		p := make([]byte, 1000)
		meanwhile(t, func(int) {
			off := rand.IntN(len(content) - len(p))
			if n, err := r.ReadAt(p, int64(off)); n != len(p) || err != nil || !bytes.Equal(p, content[off:off+n]) {
				t.Errorf("ReadAt: %d, %v, or other bytes", n, err)
			}
			if n := r.Size(); n != int64(len(content)) {
				t.Errorf("the size is %d", n)
			}
		})
	}
	for range mounttest.Count(20, 200, 2000) {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			t.Error(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
}
