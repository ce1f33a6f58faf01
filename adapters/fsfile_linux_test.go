package adapters_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// TestFSStat: an open file is described as it was, by Stat of the FS as it is.
//
//promise:adapters.FS.Open Stat of an open file describes the file before the snapshot
//promise:adapters.FS.Stat Stat describes the file as it is now
func TestFSStat(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := put(t, dir, "f", random(100))
		long := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
		if err := os.Chtimes(name, long, long); err != nil {
			t.Fatal(err)
		}
		fsys := newFS(t, dir, snapshot.Config{})
		f, err := fsys.Open("f")
		supported(t, err)
		defer f.Close()
		if err := os.Truncate(name, 10); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, 0o600); err != nil {
			t.Fatal(err)
		}
		was, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if was.Size() != 100 || was.Mode() != 0o644 || !was.ModTime().Equal(long) {
			t.Errorf("the open file is %s", fs.FormatFileInfo(was))
		}
		is, err := fsys.Stat("f")
		if err != nil {
			t.Fatal(err)
		}
		if is.Size() != 10 || is.Mode() != 0o600 || is.ModTime().Equal(long) {
			t.Errorf("the file is %s", fs.FormatFileInfo(is))
		}
	})
}

// TestFSReadBesideClose: ReadAt and Stat of an open file may be called at any time, also while
// it is closed and its snapshot is given back.
//
//promise:adapters.FS.Open ReadAt and Stat of an open file are safe beside its Close
func TestFSReadBesideClose(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	content := random(100_000)
	for range mounttest.Count(50, 500, 5000) {
		put(t, dir, "f", content) // just now, so that nobody shares the snapshot
		fsys := newFS(t, dir, snapshot.Config{})
		f, err := fsys.Open("f")
		supported(t, err)
		begun := make(chan struct{}, 2)
		var wg sync.WaitGroup
		for range cap(begun) {
			wg.Go(func() {
				p := make([]byte, 1000)
				var err error
				for n := 0; err == nil; n++ {
					off := rand.IntN(len(content) - len(p))
					if _, err = f.(io.ReaderAt).ReadAt(p, int64(off)); err == nil {
						if !bytes.Equal(p, content[off:][:len(p)]) {
							t.Error("other bytes")
						}
						_, err = f.Stat()
					}
					if n == 0 {
						begun <- struct{}{}
					}
					runtime.Gosched() // on one processor, Close runs soon
				}
				var e *fs.PathError
				if !errors.Is(err, fs.ErrClosed) || !errors.As(err, &e) || e.Path != "f" {
					t.Error(err)
				}
			})
		}
		<-begun
		<-begun
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		_ = fsys.Close()
		wg.Wait()
	}
}

// TestSub: the tree below a directory goes with its name, and no link leads out of the FS.
//
//promise:adapters.FS.Sub Sub is an *FS with the name of its directory
//promise:adapters.FS.Sub symbolic links lead to all files of the FS and no others
func TestSub(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "secret", []byte("secret"))
	root := filepath.Join(dir, "root")
	for _, name := range []string{"", "a", "new"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, root, "beside", []byte("beside"))
	put(t, root, "a/f", []byte("old"))
	put(t, root, "new/f", []byte("new"))
	for _, name := range []string{"a", "new"} {
		_ = os.Symlink("../beside", filepath.Join(root, name, "in"))
		_ = os.Symlink("../../secret", filepath.Join(root, name, "out"))
	}
	sub, err := newFS(t, root, snapshot.Config{}).Sub("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := sub.(*adapters.FS); !ok {
		t.Errorf("it is a %T", sub)
	}
	check := func(want string) {
		t.Helper()
		same(t, contents(t, sub, "f"), []byte(want))
		same(t, contents(t, sub, "in"), []byte("beside"))
		if p, err := fs.ReadFile(sub, "out"); err == nil {
			t.Errorf("read %q", p)
		}
	}
	check("old")
	for _, r := range [][2]string{{"a", "moved"}, {"new", "a"}} {
		if err := os.Rename(filepath.Join(root, r[0]), filepath.Join(root, r[1])); err != nil {
			t.Fatal(err)
		}
	}
	check("new")
}
