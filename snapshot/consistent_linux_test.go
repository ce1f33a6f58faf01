package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// RequireConsistent takes a reflink or a LeasedCopy, and refuses what may be torn: a copy beside a
// writer, and every copy on a filesystem whose leases prove nothing.
//
//promise:snapshot.Config.RequireConsistent Open refuses a ComparedCopy before it copies data
func TestRequireConsistent(t *testing.T) {
	systest.NoPauses(t)
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 10000)
		write(t, name, data)
		w := openFile(t, name, os.O_RDWR)
		c := snapshot.Config{RequireConsistent: true}
		refused := "open " + name + ": no consistent copy: "
		m, err := c.Open(context.Background(), name)
		switch {
		case reflinks(dir):
			must(t, err)
			must(t, m.Close())
		case mounttest.Has(dir, mounttest.Leases):
			wantError(t, err, snapshot.ErrUnstable,
				refused+"the file is open for writing")
		default:
			wantError(t, err, snapshot.ErrUnstable, refused+"leases prove nothing on this filesystem")
		}
		must(t, w.Close())
		m, err = c.Open(context.Background(), name)
		if !reflinks(dir) && !mounttest.Has(dir, mounttest.Leases) {
			wantError(t, err, snapshot.ErrUnstable, refused+"leases prove nothing on this filesystem")
			return
		}
		must(t, err)
		if m.Method() == snapshot.ComparedCopy {
			t.Error(m.Method())
		}
		wantContents(t, m, data)
		must(t, m.Close())
	})
}

// A process that does not own a file gets no lease on it.
//
//promise:snapshot.LeasedCopy a lease needs the owner of the file or CAP_LEASE
func TestNoLeaseOnFileOfAnotherUser(t *testing.T) {
	mounttest.EachKind(t, copying, func(t *testing.T, kind *mounttest.Kind) {
		var name string
		data := bytes.Repeat([]byte("root's"), 1000)
		if !mounttest.IsUserChild() {
			name = join(kind.Dir(t), "f")
			write(t, name, data)
		}
		mounttest.AsUser(t, func(t *testing.T) {
			mounttest.Leaks(t)
			name := os.Getenv("TEST_FILE")
			m := open(t, name)
			if m.Method() != snapshot.ComparedCopy {
				t.Error(m.Method())
			}
			wantContents(t, m, data)
			_, err := snapshot.Config{RequireConsistent: true}.Open(context.Background(), name)
			wantError(t, err, snapshot.ErrUnstable, "open "+name+": directory of the file: openat O_TMPFILE: permission denied; temporary directory "+
				os.TempDir()+": no consistent copy: a lease on a file of another user needs CAP_LEASE")
		}, "TEST_FILE="+name)
	})
}

// The client of a network filesystem may still show the attributes of some seconds ago: a change
// made elsewhere while the file is copied is noticed all the same, and the copy made again.
//
//promise:snapshot.Config.Open on a network filesystem the server is asked whether the file changed
func TestChangesBehindACache(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		old, changed := noise(1, 1<<20), noise(2, 1<<20)
		write(t, name, old)
		f := openFile(t, name, os.O_RDWR) // so there is no lease, as there is none elsewhere
		systest.CacheAttributes(t)
		changes := 0
		c := snapshot.Config{Progress: func(done, total int64) {
			if changes == 0 && done < total {
				changes++
				_, err := f.WriteAt(changed, 0)
				must(t, err)
			}
		}}
		m, err := c.Open(context.Background(), name)
		must(t, err)
		wantContents(t, m, changed)
		must(t, m.Close())
		if changes == 0 {
			t.Error("nothing was changed: nothing is tested")
		}
	})
}

// Where times are whole seconds, a write during the copy is noticed all the same.
//
//promise:snapshot.ComparedCopy on a filesystem with times in whole seconds each change is noticed
func TestWholeSeconds(t *testing.T) {
	mounttest.Leaks(t)
	name := join(mounttest.Fresh(t, mounttest.WholeSeconds, 64<<20), "f")
	changed := noise(2, 1<<20)
	write(t, name, noise(1, 1<<20))
	f := openFile(t, name, os.O_RDWR) // so there is no lease
	wrote := false
	m, err := snapshot.Config{Progress: func(done, total int64) {
		if !wrote {
			wrote = true
			_, err := f.WriteAt(changed, 0)
			must(t, err)
		}
	}}.Open(context.Background(), name)
	must(t, err)
	wantContents(t, m, changed)
	must(t, m.Close())
	must(t, f.Close())
}

// A file that does not report its size is refused; it is not taken for an empty file.
//
//promise:snapshot.Config.Open a file that does not report its size is errors.ErrUnsupported
func TestFileWithoutSizeIsRefused(t *testing.T) {
	mounttest.Leaks(t)
	const name = "/proc/self/status"
	_, err := snapshot.Open(name)
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	_, err = snapshot.FromFile(openFile(t, name, os.O_RDONLY))
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
