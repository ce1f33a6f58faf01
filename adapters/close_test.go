package adapters_test

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A File that was not changed publishes nothing.
//
//promise:adapters.File.Close if nothing was changed, the file keeps its inode
//promise:adapters.File.Sync if nothing was changed, Sync of a File of OpenFile does nothing
func TestCloseUnchanged(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := put(t, dir, "f", []byte("old"))
		before := info(t, name)
		unchanged := func(want bool) {
			t.Helper()
			if now := info(t, name); os.SameFile(before, now) != want {
				t.Errorf("the same file: %v", !want)
			}
		}
		f := openFlag(t, name, os.O_RDWR)
		if p, err := io.ReadAll(f); string(p) != "old" || err != nil {
			t.Error(p, err)
		}
		if err := f.Sync(); err != nil {
			t.Error(err)
		}
		ends(t, f, nil)
		unchanged(true)

		f = openFlag(t, name, os.O_RDWR)
		write(t, f, "new")
		unchanged(true)
		if err := f.Sync(); err != nil {
			t.Error(err)
		}
		unchanged(false)
		before = info(t, name)
		if err := f.Sync(); err != nil {
			t.Error(err)
		}
		ends(t, f, nil)
		unchanged(true)
		mounttest.WantFile(t, name, []byte("new"))

		for what, change := range map[string]func(f *adapters.File) error{
			"WriteAt":  func(f *adapters.File) error { _, err := f.WriteAt([]byte("x"), 1); return err },
			"Truncate": func(f *adapters.File) error { return f.Truncate(1) },
			"Chmod":    func(f *adapters.File) error { return f.Chmod(0o600) },
			"ReadFrom": func(f *adapters.File) error {
				_, err := f.ReadFrom(strings.NewReader("x"))
				return err
			},
		} {
			before = info(t, name)
			f := openFlag(t, name, os.O_RDWR)
			if err := change(f); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			ends(t, f, nil)
			unchanged(false)
		}
	})
}

// failing are changes that fail.
var failing = map[string]func(f *adapters.File) error{
	"Write": func(f *adapters.File) error {
		_, _ = f.Seek(1<<62, io.SeekStart)
		_, err := f.Write([]byte("x"))
		return err
	},
	"WriteString": func(f *adapters.File) error {
		_, _ = f.Seek(1<<62, io.SeekStart)
		_, err := f.WriteString("x")
		return err
	},
	"ReadFrom": func(f *adapters.File) error {
		_, _ = f.Seek(1<<62, io.SeekStart)
		_, err := f.ReadFrom(strings.NewReader("x"))
		return err
	},
	"WriteAt":          func(f *adapters.File) error { _, err := f.WriteAt([]byte("x"), 1<<62); return err },
	"WriteAt negative": func(f *adapters.File) error { _, err := f.WriteAt([]byte("x"), -1); return err },
	"Truncate":         func(f *adapters.File) error { return f.Truncate(1 << 62) },
}

// After a write that failed, nothing is published.
//
//promise:adapters.File.Close after a write that failed, it publishes nothing and returns that error
//promise:adapters.File.Sync after a write that failed, that of a File of OpenFile publishes nothing
func TestCloseAfterFailedWrite(t *testing.T) {
	dir := t.TempDir()
	for what, fail := range failing {
		for _, name := range []string{put(t, dir, "old", []byte("old")), filepath.Join(dir, "new")} {
			f := openFlag(t, name, os.O_RDWR|os.O_CREATE)
			write(t, f, "before")
			failed := fail(f)
			if failed == nil {
				t.Fatalf("%s did not fail", what)
			}
			if _, err := f.WriteAt([]byte("x"), -1); err == nil { // only the first error counts
				t.Error("no error")
			}
			if _, err := f.WriteAt([]byte("after"), 0); err != nil {
				t.Error(err)
			}
			if err := f.Sync(); err != failed { //nolint:errorlint // this one
				t.Errorf("%s: Sync: %v, not %v", what, err, failed)
			}
			ends(t, f, failed)
			mounttest.WantFile(t, filepath.Join(dir, "old"), []byte("old"))
			mounttest.WantNames(t, dir, "old")
		}
	}
}

// Reads, seeks and the reader of ReadFrom may fail, and NewFile leaves it to the caller.
//
//promise:adapters.File.Close other errors than those of writes do not keep it from publishing
//promise:adapters.NewFile a Sync publishes what could be written after a write that failed
func TestCloseAfterOtherErrors(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	f := openFlag(t, name, os.O_RDWR|os.O_CREATE)
	write(t, f, "text")
	_, seekErr := f.Seek(-1, io.SeekStart)
	_, readErr := f.ReadAt(make([]byte, 1), -1)
	broken := errors.New("broken")
	_, copyErr := f.ReadFrom(io.MultiReader(strings.NewReader(", more"), badReader{broken}))
	if seekErr == nil || readErr == nil || !errors.Is(copyErr, broken) {
		t.Error(seekErr, readErr, copyErr)
	}
	ends(t, f, nil)
	mounttest.WantFile(t, name, []byte("text, more"))

	f = openFile(t, name)
	write(t, f, "TEXT")
	if _, err := f.WriteAt([]byte("x"), -1); err == nil {
		t.Error("no error")
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	write(t, f, "discarded")
	ends(t, f, nil)
	mounttest.WantFile(t, name, []byte("TEXT, more"))
}

type badReader struct{ err error }

func (r badReader) Read([]byte) (int, error) { return 0, r.err }

// Discard publishes nothing. After Close it does nothing.
//
//promise:adapters.File.Discard Discard publishes nothing; after Close it is fs.ErrClosed
func TestDiscard(t *testing.T) {
	dir := t.TempDir()
	name := put(t, dir, "old", []byte("old"))
	for _, f := range []*adapters.File{
		openFlag(t, name, os.O_RDWR),
		openFlag(t, filepath.Join(dir, "new"), os.O_RDWR|os.O_CREATE),
		openFile(t, name),
	} {
		write(t, f, "new")
		if err := f.Discard(); err != nil {
			t.Error(err)
		}
		if err := f.Discard(); !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
		if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
		if _, err := f.Write([]byte("x")); !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
		mounttest.WantNames(t, dir, "old")
		mounttest.WantFile(t, name, []byte("old"))
	}
	f := openFlag(t, name, os.O_RDWR)
	write(t, f, "new")
	ends(t, f, nil)
	if err := f.Discard(); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
	mounttest.WantFile(t, name, []byte("new"))
}

// If publishing fails, Sync can be called again, and Close closes the File.
//
//promise:adapters.File.Close if publishing fails, the File is closed and the file is as it was
//promise:adapters.File.Sync if it fails, it can be called again
func TestCloseFails(t *testing.T) {
	mounttest.Leaks(t)
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(sub, "f")
	f := openFlag(t, name, os.O_RDWR|os.O_CREATE)
	write(t, f, "text")
	if err := os.Mkdir(name, 0o755); err != nil { // in the way
		t.Fatal(err)
	}
	if err := f.Sync(); err == nil || class(err, name) == err.Error() {
		t.Error(err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	mounttest.WantFile(t, name, []byte("text"))

	write(t, f, "more")
	if err := os.RemoveAll(sub); err != nil {
		t.Fatal(err)
	}
	ends(t, f, fs.ErrNotExist)
	mounttest.WantNames(t, dir)
}

// A Write that succeeds beside Close is published: no Close takes the file for unchanged then.
//
//promise:adapters.File.Close a Write that succeeds beside it is published
func TestCloseBesideWrite(t *testing.T) {
	dir := t.TempDir()
	for range mounttest.Count(100, 500, 20_000) {
		name := put(t, dir, "f", []byte("old"))
		f := openFlag(t, name, os.O_RDWR)
		var wrote, closing sync.WaitGroup
		var n int
		wrote.Go(func() { n, _ = f.Write([]byte("new")) })
		closing.Go(func() {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
		wrote.Wait()
		closing.Wait()
		want := "old"
		if n == 3 {
			want = "new"
		}
		mounttest.WantFile(t, name, []byte(want))
	}
}

// Appends of several goroutines follow each other, whatever the cursor is.
//
//promise:adapters.OpenFile with O_APPEND, no Write of a goroutine overwrites that of another
//promise:adapters.File.WriteAt it is an error with O_APPEND
func TestAppend(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := put(t, dir, "f", []byte("first\n"))
		f := openFlag(t, name, os.O_RDWR|os.O_APPEND)
		const each = 200
		var writers sync.WaitGroup
		for _, line := range []string{"a\n", "a longer line\n", strings.Repeat("long", 2000) + "\n"} {
			writers.Go(func() {
				for range each {
					if _, err := f.Seek(0, io.SeekStart); err != nil {
						t.Error(err)
					}
					if n, err := f.WriteString(line); n != len(line) || err != nil {
						t.Error(n, err)
					}
				}
			})
		}
		writers.Wait()
		ends(t, f, nil)
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for line := range strings.Lines(string(content)) {
			count[line[:min(len(line), 3)]]++
		}
		want := map[string]int{"fir": 1, "a\n": each, "a l": each, "lon": each}
		if !maps.Equal(count, want) {
			t.Error(count)
		}
	})
}

// Chmod of a File is visible with Close.
//
//promise:adapters.File.Chmod the file gets the mode with the next Sync or Close
func TestFileChmod(t *testing.T) {
	name := put(t, t.TempDir(), "f", []byte("old"))
	for _, open := range []func() *adapters.File{
		func() *adapters.File { return openFlag(t, name, os.O_RDWR) },
		func() *adapters.File { return openFile(t, name) },
	} {
		f := open()
		for _, mode := range []fs.FileMode{0o600, 0o751} {
			before := info(t, name).Mode()
			if err := f.Chmod(mode); err != nil {
				t.Error(err)
			}
			if now := info(t, name).Mode(); now != before {
				t.Errorf("mode %v before Sync", now)
			}
			if err := f.Sync(); err != nil {
				t.Error(err)
			}
			if now := info(t, name).Mode(); now != mode {
				t.Errorf("mode %v, not %v", now, mode)
			}
		}
		ends(t, f, nil)
	}
}
