package adapters_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// TestResizedBehindItsBack: a write arrives whole, whatever is done to the snapshot itself
// meanwhile.
//
//promise:adapters.NewFile other methods of the snapshot can be used beside the File
func TestResizedBehindItsBack(t *testing.T) {
	m := openMut(t, put(t, mounttest.Dir(t, mounttest.Memory), "f", nil))
	f := adapters.NewFile(m)
	p := random(5000)
	for range 3 {
		meanwhile(t, func(int) {
			if n, err := f.WriteAt(p, 3000); n != len(p) || err != nil {
				t.Error(n, err)
			}
		})
	}
	for range mounttest.Count(20000, 100000, 1000000) {
		if err := m.Resize(0); err != nil {
			t.Error(err)
		}
	}
}

// TestEverythingAtOnce calls all methods from many goroutines, resizes the snapshot behind the
// File's back, and closes it in the end. No call may panic or fail but for what others did.
//
//promise:adapters.File all methods can run at the same time on several goroutines
func TestEverythingAtOnce(t *testing.T) {
	mounttest.Leaks(t)
	for range mounttest.Count(3, 20, 200) {
		name := put(t, t.TempDir(), "f", random(50_000))
		m := openMut(t, name)
		f := adapters.NewFile(m)
		r := adapters.NewReader(m)
		p := random(5000)
		calls := []func(off int64) error{
			func(off int64) error { n, err := f.WriteAt(p, off); return counted(n, err) },
			func(off int64) error { n, err := f.WriteAt(p, off); return counted(n, err) },
			func(off int64) error { n, err := f.Write(p); return counted(n, err) },
			func(off int64) error { _, err := f.Read(make([]byte, 3000)); return err },
			func(off int64) error { _, err := f.ReadAt(make([]byte, 3000), off); return err },
			func(off int64) error { _, err := r.ReadAt(make([]byte, 3000), off); return err },
			func(off int64) error { _, err := f.Seek(off, io.SeekStart); return err },
			func(off int64) error { _, err := f.ReadByte(); return err },
			func(off int64) error { return f.Truncate(off) },
			func(off int64) error { return m.Resize(off) },
			func(off int64) error { _, err := f.WriteTo(onlyWriter{io.Discard}); return err },
			func(off int64) error { _, err := f.ReadFrom(bytes.NewReader(p)); return err },
			func(off int64) error { _, err := f.Stat(); return err },
			func(off int64) error { return f.Sync() },
		}
		var wg sync.WaitGroup
		for _, call := range calls {
			wg.Go(func() {
				for range mounttest.Count(100, 300, 1000) {
					if err := call(rand.Int64N(100_000)); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, fs.ErrClosed) {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		closing(t, name)
	}
}

func counted(n int, err error) error {
	if err == nil && n != 5000 {
		return io.ErrShortWrite
	}
	return err
}

// closing closes a File while it is being used.
func closing(t *testing.T, name string) {
	f := openFile(t, name)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			var err error
			for err == nil || errors.Is(err, io.EOF) {
				switch i {
				case 0:
					_, err = f.WriteAt([]byte("data"), rand.Int64N(100_000))
				case 1:
					_, err = f.ReadAt(make([]byte, 10), rand.Int64N(100_000))
				case 2:
					err = f.Truncate(rand.Int64N(100_000))
				case 3:
					_, err = f.Seek(0, io.SeekEnd)
				}
				runtime.Gosched() // on one processor, Close runs soon
			}
			if !errors.Is(err, fs.ErrClosed) {
				t.Error(err)
			}
		})
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}
