package adapters_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// tree makes a directory with files of all kinds that programs meet, and returns the names of
// the regular ones.
func tree(tb testing.TB, dir string) []string {
	tb.Helper()
	mkdir := func(name string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	mkdir("sub")
	mkdir("sub/deep")
	mkdir("empty")
	files := map[string]int{"small.txt": 10, "empty.bin": 0, "sub/page": 4096, "sub/deep/large": 300_000}
	for name, size := range files {
		put(tb, dir, name, random(size))
	}
	for link, target := range map[string]string{
		"link": "small.txt", "sub/up": "../small.txt", "dirlink": "sub", "chain": "dirlink/deep/../up",
		"deeplink": "sub/deep", "real": "deeplink/../page", // which is not the page beside deeplink
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			tb.Fatal(err)
		}
	}
	return []string{"small.txt", "empty.bin", "sub/page", "sub/deep/large", "link", "sub/up", "chain"}
}

//promise:adapters.FS the tree passes testing/fstest.TestFS, below Sub too
//promise:adapters.FS.Lstat Lstat describes a symbolic link itself
//promise:adapters.FS.ReadLink ReadLink returns the target of a symbolic link
func TestFSIsAFileSystem(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		names := tree(t, dir)
		fsys := newFS(t, dir, snapshot.Config{})
		_, err := fsys.Open("small.txt")
		supported(t, err)
		if err := fstest.TestFS(fsys, names...); err != nil {
			t.Error(err)
		}
		sub, err := fs.Sub(fsys, "sub")
		if err != nil {
			t.Fatal(err)
		}
		if err := fstest.TestFS(sub, "page", "deep/large", "up"); err != nil {
			t.Errorf("below Sub: %v", err)
		}
	})
}

// TestFSLikeDirFS asks an FS and os.DirFS the same.
//
//promise:adapters.FS.Open Open is like that of os.DirFS; errors are *fs.PathError with the name
//promise:adapters.FS.ReadDir ReadDir is like that of os.DirFS
//promise:adapters.FS.ReadFile ReadFile is like that of os.DirFS
//promise:adapters.FS.Stat Stat is like that of os.DirFS
//promise:adapters.FS.Lstat Lstat is like that of os.DirFS
//promise:adapters.FS.ReadLink ReadLink is like that of os.DirFS
func TestFSLikeDirFS(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir)
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	_ = os.Symlink("loop", filepath.Join(dir, "loop"))
	ours, theirs := newFS(t, dir, snapshot.Config{}), os.DirFS(dir)
	_, err := ours.Open("small.txt")
	supported(t, err)
	for _, name := range []string{
		".", "small.txt", "empty.bin", "sub", "sub/page", "sub/up", "dirlink", "dirlink/deep/large", "chain", "link", "real",
		"missing", "small.txt/x", "sub/missing", "dangling", "loop", "", "/", "/etc", "../x", "sub/", "./sub", "sub//page", "sub/../small.txt",
	} {
		for op, do := range map[string]func(fs.FS) (string, error){
			"Open": func(f fs.FS) (string, error) {
				file, err := f.Open(name)
				if err != nil {
					return "", err
				}
				defer file.Close()
				info, err := file.Stat()
				if err != nil {
					return "", err
				}
				return info.Mode().String() + " " + strconv.FormatInt(info.Size(), 10) + info.ModTime().String(), nil
			},
			"Read": func(f fs.FS) (string, error) {
				file, err := f.Open(name)
				if err != nil {
					return "", err
				}
				defer file.Close()
				p, err := io.ReadAll(file)
				return string(p), err
			},
			"ReadFile": func(f fs.FS) (string, error) { p, err := fs.ReadFile(f, name); return string(p), err },
			"Stat": func(f fs.FS) (string, error) {
				info, err := fs.Stat(f, name)
				if err != nil {
					return "", err
				}
				return info.Mode().String() + info.ModTime().String(), nil
			},
			"ReadDir": func(f fs.FS) (string, error) {
				entries, err := fs.ReadDir(f, name)
				var text []string
				for _, e := range entries {
					text = append(text, fs.FormatDirEntry(e))
				}
				return strings.Join(text, "\n"), err
			},
			"ReadLink": func(f fs.FS) (string, error) { return fs.ReadLink(f, name) },
		} {
			got, gotErr := do(ours)
			want, wantErr := do(theirs)
			if got != want || kind(gotErr) != kind(wantErr) {
				t.Errorf("%s %q: %.80q, %v\n\tos.DirFS: %.80q, %v", op, name, got, gotErr, want, wantErr)
			}
			var e *fs.PathError
			if gotErr != nil && (!errors.As(gotErr, &e) || e.Path != name) {
				t.Errorf("%s %q: %v does not name the file", op, name, gotErr)
			}
		}
	}
}

// kind is what errors.Is tells of an error.
func kind(err error) string {
	for _, known := range []error{fs.ErrNotExist, fs.ErrInvalid, fs.ErrPermission, fs.ErrClosed} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return "error"
	}
	return ""
}

// TestFSIotest reads files of sizes around those of pages and buffers.
//
//promise:adapters.FS.Open the file is an io.ReadSeeker, io.ReaderAt and io.WriterTo of its bytes
func TestFSIotest(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		fsys := newFS(t, dir, snapshot.Config{})
		for _, size := range sizes {
			content := random(size)
			put(t, dir, strconv.Itoa(size), content)
			f, err := fsys.Open(strconv.Itoa(size))
			supported(t, err)
			if err := iotest.TestReader(f, content); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
			var b bytes.Buffer
			_, _ = f.(io.Seeker).Seek(0, io.SeekStart)
			if n, err := f.(io.WriterTo).WriteTo(&b); n != int64(size) || err != nil {
				t.Errorf("WriteTo of %d bytes: %d, %v", size, n, err)
			}
			same(t, b.Bytes(), content)
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// closedErrors returns what the methods of a closed file return.
func closedErrors(f fs.File) map[string]error {
	_, statErr := f.Stat()
	_, readErr := f.Read(make([]byte, 1))
	_, readAtErr := f.(io.ReaderAt).ReadAt(make([]byte, 1), 0)
	_, seekErr := f.(io.Seeker).Seek(0, io.SeekStart)
	_, writeErr := f.(io.WriterTo).WriteTo(io.Discard)
	return map[string]error{
		"close": f.Close(), "stat": statErr, "read": readErr, "readAt": readAtErr, "seek": seekErr, "writeTo": writeErr,
	}
}

// TestFSClosed: open files outlive the FS and others that share their snapshot; what is closed
// says so, under the file's name.
//
//promise:adapters.FS.Close open files stay open, and opening a file is fs.ErrClosed, below Sub too
//promise:adapters.FS.Close a second Close is fs.ErrClosed, and Close of a Sub does nothing
func TestFSClosed(t *testing.T) {
	mounttest.Leaks(t)
	dir := t.TempDir()
	content := random(10_000)
	settled(t, dir, "f", content)
	fsys := newFS(t, dir, snapshot.Config{})
	sub, err := fsys.Sub("sub")
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.(io.Closer).Close(); err != nil { // does nothing
		t.Error(err)
	}
	f, err := fsys.Open("f")
	supported(t, err)
	other, err := fsys.Open("f") // of the same snapshot
	if err != nil {
		t.Fatal(err)
	}
	wantClosed := func(f fs.File) {
		t.Helper()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		for what, err := range closedErrors(f) {
			var e *fs.PathError
			if !errors.Is(err, fs.ErrClosed) || !errors.As(err, &e) || e.Path != "f" {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	wantClosed(other)
	if err := fsys.Close(); err != nil {
		t.Error(err)
	}
	got, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, content)
	wantClosed(f)

	_, openErr := fsys.Open("f")
	_, subErr := sub.Open("f")
	_, dirErr := fsys.ReadDir(".")
	_, infoErr := fsys.Stat("f")
	for what, err := range map[string]error{"Open": openErr, "below Sub": subErr, "ReadDir": dirErr, "Stat": infoErr, "Close": fsys.Close()} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestFSErrorsNameTheFile, and not where its snapshot came from.
//
//promise:adapters.FS.Open errors of reads are *fs.PathError with the name given to Open
func TestFSErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "f", nil)
	f, err := newFS(t, dir, snapshot.Config{}).Open("f")
	supported(t, err)
	defer f.Close()
	_, err = f.(io.ReaderAt).ReadAt(make([]byte, 1), -1)
	var e *fs.PathError
	if !errors.As(err, &e) || e.Op != "readat" || e.Path != "f" {
		t.Error(err)
	}
}

// TestFSForgotten: what nobody closed is given back when the garbage collector finds it.
func TestFSForgotten(t *testing.T) {
	mounttest.Leaks(t)
	dir := t.TempDir()
	settled(t, dir, "f", random(10_000))
	fsys := newFS(t, dir, snapshot.Config{})
	_, err := fsys.Open("f")
	supported(t, err)
	waitFor(t, func() bool {
		runtime.GC()
		known, idle := fsys.Kept()
		return known == 1 && idle == 1
	})
}
