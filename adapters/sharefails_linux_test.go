package adapters_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// TestErrorsAreNotKept: all who ask at once get an error, the next one does not. A panic of
// Progress is its caller's, and nobody waits for ever.
//
//promise:adapters.FS.Open all callers that wait get the error, and the next call tries again
func TestErrorsAreNotKept(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	content := random(10000)
	settled(t, dir, "f", content)
	const all = 10
	fail := true
	var fsys *adapters.FS
	fsys = newFS(t, dir, snapshot.Config{Progress: func(int64, int64) {
		if fail {
			waitFor(t, func() bool { return fsys.Waiting() == all-1 })
			panic("Progress")
		}
	}})
	var panics, errs atomic.Int32
	var wg sync.WaitGroup
	for range all {
		wg.Go(func() {
			defer func() {
				if recover() != nil {
					panics.Add(1)
				}
			}()
			if _, err := fsys.Open("f"); err != nil {
				errs.Add(1)
			}
		})
	}
	wg.Wait()
	if panics.Load() != 1 || errs.Load() != all-1 {
		t.Errorf("%d panics and %d errors", panics.Load(), errs.Load())
	}
	fail = false
	same(t, contents(t, fsys, "f"), content)
}

// TestFailingSnapshotsAreNotKept: if the private copy of a file can be read no more, the files that
// use it fail, and the next call of Open makes another.
//
//promise:adapters.FS.Open a snapshot that the disk failed is not shared any more
func TestFailingSnapshotsAreNotKept(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	content := random(200_000) // smaller ones are in Go memory
	settled(t, dir, "f", content)
	for what, read := range map[string]func(fsys fs.FS) ([]byte, error){
		"ReadFile": func(fsys fs.FS) ([]byte, error) { return fs.ReadFile(fsys, "f") },
		"Open": func(fsys fs.FS) ([]byte, error) {
			f, err := fsys.Open("f")
			if err != nil {
				return nil, err
			}
			defer f.Close()
			return io.ReadAll(f)
		},
	} {
		fsys := newFS(t, dir, snapshot.Config{})
		mounttest.OnThread(t, func() error {
			// The kernel says so of pages that it could not write.
			if err := mounttest.Refuse(unix.SYS_SYNC_FILE_RANGE, syscall.EIO); err != nil {
				return err
			}
			if p, err := read(fsys); !errors.Is(err, syscall.EIO) {
				t.Errorf("%s: %d bytes, %v", what, len(p), err)
			}
			return nil
		})
		if known, _ := fsys.Kept(); known != 0 {
			t.Errorf("%s: %d snapshots are kept", what, known)
		}
		same(t, contents(t, fsys, "f"), content)
		if known, _ := fsys.Kept(); known != 1 {
			t.Errorf("%s: %d snapshots are kept", what, known)
		}
	}
}

// TestFSConfig: what of a Config decides whether a file is copied. TempDir is in
// TestThousandRequestsOneCopy, Progress above.
//
//promise:adapters.NewFS NoCopy and RequireConsistent of the Config apply
func TestFSConfig(t *testing.T) {
	dir := mounttest.Dir(t, mounttest.Memory)
	name := put(t, dir, "f", random(10))
	if _, err := newFS(t, dir, snapshot.Config{NoCopy: true}).Open("f"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("NoCopy: %v", err)
	}
	fsys := newFS(t, dir, snapshot.Config{RequireConsistent: true})
	writer, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fsys.Open("f"); !errors.Is(err, snapshot.ErrUnstable) {
		t.Errorf("RequireConsistent, beside a writer: %v", err)
	}
	_ = writer.Close()
	same(t, contents(t, fsys, "f"), random(10))
}

// TestAskedTooLate: a file is changed while it is copied, in a way that does not show in its
// times. Whoever asks after that waits for the copy, and then for a newer one.
//
//promise:adapters.FS.Open a snapshot of an unsettled file serves only calls made before its start
func TestAskedTooLate(t *testing.T) {
	for range 100 {
		if askedTooLate(t) {
			return
		}
	}
	t.Fatal("each time it took too long")
}

// askedTooLate returns false, and has checked nothing, if the copy began so late that the change before it
// was long ago.
func askedTooLate(t *testing.T) (inTime bool) {
	dir := mounttest.Dir(t, mounttest.Memory) // where a store changes no times, but the first one of a mapping
	writer, err := os.OpenFile(put(t, dir, "f", []byte("old")), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close() // open all the time, or there would be a lease
	mapped, err := syscall.Mmap(int(writer.Fd()), 0, 3, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Munmap(mapped) }()
	mapped[0] = 'o'
	var fsys *adapters.FS
	var once sync.Once
	late := make(chan []byte, 1)
	fsys = newFS(t, dir, snapshot.Config{Progress: func(done, total int64) {
		if done < total {
			return
		}
		once.Do(func() {
			inTime = !isSettled(t, int(writer.Fd()))
			copy(mapped, "new")
			go func() {
				p, err := fsys.ReadFile("f")
				if err != nil {
					t.Error(err)
				}
				late <- p
			}()
			waitFor(t, func() bool { return fsys.Waiting() == 1 || len(late) == 1 }) // or a second began
		})
	}})
	if _, err := writer.WriteAt([]byte("old"), 0); err != nil { // the last change that shows
		t.Fatal(err)
	}
	contents(t, fsys, "f")
	if p := <-late; inTime {
		same(t, p, []byte("new"))
	}
	return inTime
}

// TestFilesOfOneSecondAreDistinct: files of one size and one time are told from each other.
//
//promise:adapters.FS.Open files of equal size and equal times are told apart
func TestFilesOfOneSecondAreDistinct(t *testing.T) {
	dir := mounttest.Fresh(t, mounttest.WholeSeconds, 16<<20) // whose times are whole seconds
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		put(t, dir, name, []byte(name))
	}
	waitSettled(t, filepath.Join(dir, "d"))
	fsys := newFS(t, dir, snapshot.Config{})
	for range 2 {
		for _, name := range names {
			same(t, contents(t, fsys, name), []byte(name))
		}
	}
	if known, _ := fsys.Kept(); known != len(names) {
		t.Errorf("%d snapshots are kept", known)
	}
}

// TestTimeOfChange: a file counts as changed even if its size and its time of modification are
// what they were.
//
//promise:adapters.FS.Open a changed ctime alone means that the file changed
func TestTimeOfChange(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		content := random(10)
		settled(t, dir, "f", content)
		name := filepath.Join(dir, "f")
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		fsys := newFS(t, dir, snapshot.Config{})
		for range 3 {
			same(t, contents(t, fsys, "f"), content)
			if known, _ := fsys.Kept(); known != 1 {
				t.Fatalf("%d snapshots are kept", known)
			}
			content[0]++
			settled(t, dir, "f", content)
			if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
			waitSettled(t, name)
		}
	})
}
