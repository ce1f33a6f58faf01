package pathname

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A name resolves to the directory, the last name and the file that the kernel finds, through
// symbolic links. With create, the file need not be there.
func TestResolve(t *testing.T) {
	dir := t.TempDir()
	sub, file := filepath.Join(dir, "sub"), filepath.Join(dir, "sub/file")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	makeFile(t, file)
	for link, target := range map[string]string{
		"first": "sub/second", "sub/second": "file", "dangling": "sub/new", "loop": "loop",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	wantAt(t, resolve(t, file, false), sub, "file", file)
	wantAt(t, resolve(t, sub+"//../sub/file", false), sub, "file", file)
	wantAt(t, resolve(t, filepath.Join(dir, "first"), false), sub, "file", file)
	wantAt(t, resolve(t, filepath.Join(dir, "first"), true), sub, "file", file)
	wantAt(t, resolve(t, filepath.Join(sub, "new"), true), sub, "new", "")
	wantAt(t, resolve(t, filepath.Join(dir, "dangling"), true), sub, "new", "")
	for name, want := range map[string]error{
		"":                             syscall.ENOENT,
		sub:                            syscall.EISDIR,
		file + "/":                     syscall.ENOTDIR,
		file + "/f":                    syscall.ENOTDIR,
		filepath.Join(dir, "loop"):     syscall.ELOOP,
		filepath.Join(dir, "dangling"): fs.ErrNotExist,
		filepath.Join(sub, "new"):      fs.ErrNotExist,
	} {
		if p, err := Resolve(nil, name, false); !errors.Is(err, want) {
			t.Errorf("%q: %v, %v, want %v", name, p, err, want)
		}
	}
}

// A FIFO is refused without a wait for its other end: no call but open with O_PATH sees it.
func TestResolveOpensNothing(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := errors.Join(syscall.Mkfifo(fifo, 0o600), os.Symlink("fifo", fifo+"link")); err != nil {
		t.Fatal(err)
	}
	systest.Intercept(t, func(call string) error {
		switch call {
		case "openread", "openreadwrite", "reopen", "reopen writable":
			t.Errorf("%s was called", call)
		}
		return nil
	})
	for _, name := range []string{fifo, fifo + "link"} {
		if _, err := Resolve(nil, name, false); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// By name, Reopen opens the file that was resolved and no other: a file that has the name since,
// or a name that is gone, is unreachable.
func TestReopenByName(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	makeFile(t, name)
	p := resolve(t, name, false)
	withoutProc := func(int) (int, error) { return -1, errors.ErrUnsupported }
	fd, err := p.Reopen(withoutProc, sys.OpenRead)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := sys.Fstat(fd); err != nil || !SameInode(st, p.Stat) {
		t.Errorf("opened %+v: %v", st, err)
	}
	_ = syscalls.Close(fd)
	if err := os.Rename(name, name+"2"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Reopen(withoutProc, sys.OpenRead); !IsUnreachable(err) || !IsGone(err) {
		t.Errorf("without the name: %v", err)
	}
	makeFile(t, name)
	_, err = p.Reopen(withoutProc, sys.OpenRead)
	if !IsUnreachable(err) || !errors.Is(err, syscall.ESTALE) {
		t.Errorf("with another file under the name: %v", err)
	}
	failing := func(int) (int, error) { return -1, syscall.EIO }
	_, err = p.Reopen(failing, sys.OpenRead)
	if IsUnreachable(err) || !errors.Is(err, syscall.EIO) {
		t.Errorf("another error: %v", err)
	}
}
