package adapters_test

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// TestDifferencesFromOSFile: the differences from package os are those that the documentation
// lists. TestLikeOSFile has the rest.
//
//promise:adapters.Reader.Seek offsets up to the largest int64 work
//promise:adapters.Reader.ReadAt an empty buffer after Close is fs.ErrClosed
//promise:adapters.File.WriteAt an empty buffer after Close is fs.ErrClosed
func TestDifferencesFromOSFile(t *testing.T) {
	name := put(t, t.TempDir(), "f", random(100))
	f := openFile(t, name)
	for kind, r := range map[string]readFile{"Reader": openReader(t, name), "File": f} {
		if at, err := r.Seek(math.MaxInt64, io.SeekStart); at != math.MaxInt64 || err != nil {
			t.Errorf("%s: Seek: %d, %v", kind, at, err)
		}
		if n, err := r.Read(make([]byte, 10)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: Read there: %d, %v", kind, n, err)
		}
		if n, err := r.ReadAt(make([]byte, 10), math.MaxInt64-5); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: ReadAt over the largest offset: %d, %v", kind, n, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if n, err := r.ReadAt(nil, 0); n != 0 || !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: ReadAt of nothing: %d, %v", kind, n, err)
		}
	}
	if n, err := f.WriteAt(nil, 0); n != 0 || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("WriteAt of nothing: %d, %v", n, err)
	}
}

// Other processes see the changes of a File of Create or OpenFile after Sync or Close. The last
// Close replaces the changes of those before.
//
//promise:adapters.Create the file is there from the first Sync or Close on, not from opening on
//promise:adapters.OpenFile the contents of a file that is to be emptied stay until Sync or Close
//promise:adapters.File.Sync two Files of one name replace what the other one published
func TestSeenLate(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	created, err := adapters.Create(name)
	supported(t, err)
	defer created.Discard()
	mounttest.WantNames(t, dir)
	write(t, created, "first")
	mounttest.WantNames(t, dir)
	if err := created.Sync(); err != nil {
		t.Fatal(err)
	}
	mounttest.WantFile(t, name, []byte("first"))

	emptied := openFlag(t, name, os.O_RDWR|os.O_TRUNC)
	a, b := openFlag(t, name, os.O_RDWR|os.O_APPEND), openFlag(t, name, os.O_RDWR|os.O_APPEND)
	mounttest.WantFile(t, name, []byte("first"))
	write(t, a, ", a")
	write(t, b, ", b")
	for _, f := range []struct {
		*adapters.File
		want string
	}{{a, "first, a"}, {b, "first, b"}, {emptied, ""}} {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		mounttest.WantFile(t, name, []byte(f.want))
	}
}

// A Reader closes what Open opened, and nothing else.
//
//promise:adapters.Reader.Close Close of a Reader of NewReader does nothing and returns nil
//promise:adapters.Reader.Name Name is the name that was given to open the snapshot
//promise:adapters.Reader.Stat after Close of the snapshot it is fs.ErrClosed
func TestReaderClose(t *testing.T) {
	mounttest.Leaks(t)
	name := put(t, t.TempDir(), "f", []byte("text"))
	m := openMap(t, name)
	opened, r := openReader(t, name), adapters.NewReader(m)
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, r := range []*adapters.Reader{opened, r} {
		if p, err := io.ReadAll(r); string(p) != "text" || err != nil || r.Name() != name {
			t.Error(p, err, r.Name())
		}
	}
	ends(t, opened, nil)
	ends(t, m, nil)
	for _, r := range []*adapters.Reader{opened, r} {
		_, statErr := r.Stat()
		_, readErr := r.ReadAt(make([]byte, 1), 0)
		if !errors.Is(statErr, fs.ErrClosed) || !errors.Is(readErr, fs.ErrClosed) {
			t.Error(statErr, readErr)
		}
	}
}

// TestTooLarge: what does not fit into the address space is an error, and the file stays as it is.
//
//promise:adapters.File.Write growth beyond the address space is EFBIG or ENOMEM
func TestTooLarge(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		content := random(100)
		f := openFile(t, put(t, dir, "f", content))
		defer f.Close()
		for _, size := range []int64{1 << 60, math.MaxInt64} {
			_, writeErr := f.WriteAt([]byte("x"), size-1)
			for op, err := range map[string]error{"truncate": f.Truncate(size), "write": writeErr} {
				var e *fs.PathError
				if !errors.Is(err, syscall.EFBIG) && !errors.Is(err, syscall.ENOMEM) || !errors.As(err, &e) || e.Op != op {
					t.Errorf("%s to %d: %v", op, size, err)
				}
			}
		}
		got, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, content)
	})
}

// TestStatIsOfBefore: of what happens later, also by Sync, Stat shows the size alone.
//
//promise:adapters.File.Stat Stat describes the file before it was opened, with the current size
func TestStatIsOfBefore(t *testing.T) {
	name := put(t, t.TempDir(), "f", random(100))
	long := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(name, long, long); err != nil {
		t.Fatal(err)
	}
	f := openFile(t, name)
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 10); err != nil {
		t.Fatal(err)
	}
	check := func(size int64) {
		t.Helper()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() != size || f.Size() != size || !info.ModTime().Equal(long) || info.Mode() != 0o644 || info.Name() != "f" {
			t.Errorf("want %d bytes: %s, Size %d", size, fs.FormatFileInfo(info), f.Size())
		}
	}
	check(100)
	if _, err := f.WriteAt([]byte("longer"), 100); err != nil {
		t.Fatal(err)
	}
	check(106)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	check(106)
}
