package snapshot_test

import (
	"context"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// A process of an ordinary user reads every file that it has permission to read, wherever the file
// is, and gets an error from OpenMut for a file that it cannot change.
//
//promise:snapshot.Config.OpenMut OpenMut fails if the file or its directory is not writable
//promise:snapshot.MmapMut.Commit Commit fails if the caller cannot keep owner and group
//promise:snapshot.MmapMut.Commit trusted.* attributes hidden from the caller do not fail Commit
//promise:snapshot.Config.InPlace the directory need not be writable
func TestOrdinaryUser(t *testing.T) {
	privateFiles(t)
	mounttest.EachKind(t, mounttest.Known, func(t *testing.T, kind *mounttest.Kind) {
		var dir string
		data := noise(1, 100000)
		if !mounttest.IsUserChild() {
			dir = kind.Dir(t)
			write(t, join(dir, "roots"), data)
			write(t, join(dir, "secret"), data)
			must(t, os.Chmod(join(dir, "secret"), 0o600))
			write(t, join(dir, "readonly"), data)
			must(t, os.Mkdir(join(dir, "tmp"), 0o777))
			must(t, os.Chmod(join(dir, "tmp"), 0o777))
			write(t, join(dir, "his"), data)
			must(t, os.Chown(join(dir, "his"), 65534, 65534))
			must(t, os.Mkdir(join(dir, "own"), 0o755))
			must(t, os.Chown(join(dir, "own"), 65534, 65534))
			write(t, join(dir, "own/theirs"), data)
			write(t, join(dir, "own/f"), data)
			must(t, os.Chown(join(dir, "own/f"), 65534, 65534))
			must(t, os.Chmod(join(dir, "own/f"), 0o640))
			// Only root can see that, and btrfs tells others that it is there.
			must(t, unix.Setxattr(join(dir, "own/f"), "trusted.t", []byte("v"), 0))
		}
		mounttest.AsUser(t, func(t *testing.T) {
			dir := os.Getenv("TEST_DIR")
			mounttest.Leaks(t)
			// A directory that may not be written to: the copy goes to TempDir, by reflink
			// if it can.
			c := snapshot.Config{TempDir: join(dir, "tmp")}
			m, err := c.Open(context.Background(), join(dir, "roots"))
			must(t, err)
			wantContents(t, m, data)
			if want := reflinks(dir); (m.Method() == snapshot.Reflink) != want {
				t.Error(m.Method())
			}
			must(t, m.Close())
			wantNames(t, join(dir, "tmp"))

			_, err = snapshot.Open(join(dir, "secret"))
			wantError(t, err, fs.ErrPermission, "open "+join(dir, "secret")+": permission denied")
			_, err = snapshot.OpenMut(join(dir, "roots"))
			wantError(t, err, fs.ErrPermission, "open "+join(dir, "roots")+": permission denied")
			_, err = snapshot.Create(join(dir, "new"))
			wantError(t, err, fs.ErrPermission, "create "+dir+": permission denied")
			_, err = c.Open(context.Background(), join(dir, "own/theirs"))
			must(t, err)

			// In place, a user changes a file in a directory that is not writable.
			if reflinks(dir) {
				c := snapshot.Config{InPlace: true, TempDir: join(dir, "tmp")}
				m, err := c.OpenMut(context.Background(), join(dir, "his"))
				must(t, err)
				clear(m.Bytes()[:10])
				must(t, m.CommitAndClose())
				wantFile(t, join(dir, "his"), append(make([]byte, 10), data[10:]...))
			}

			// A file of the user.
			name := join(dir, "own/f")
			for _, way := range ways {
				w := openMut(t, name)
				must(t, w.Resize(w.Size()-1))
				must(t, way.do(w))
				wantFile(t, name, data[:w.Size()])
				wantMode(t, name, 0o640)
			}
			// The directory became unwritable after the opening.
			w := openMut(t, name)
			must(t, w.Resize(3))
			must(t, os.Chmod(join(dir, "own"), 0o555))
			if err := w.Commit(); err == nil || !strings.Contains(err.Error(), "permission denied") {
				t.Error(err)
			}
			if len(data)-len(ways) != int(fileSize(t, name)) {
				t.Error(fileSize(t, name))
			}
			must(t, os.Chmod(join(dir, "own"), 0o755))
			must(t, w.Commit()) // nothing was lost by the failure
			wantFile(t, name, data[:3])
			wantNames(t, join(dir, "own"), "f", "theirs")
		}, "TEST_DIR="+dir)
	})
}

// A new file has the set-id bits of Perm, which the kernel takes away when its owner writes to it.
//
//promise:snapshot.Config.Perm an ordinary user can create files with set-id bits
func TestSetIDBitsOfPermByOrdinaryUser(t *testing.T) {
	mounttest.EachKind(t, mounttest.Known, func(t *testing.T, kind *mounttest.Kind) {
		mounttest.AsUser(t, func(t *testing.T) {
			dir := kind.Dir(t)
			for _, way := range ways {
				name := join(dir, way.name)
				m, err := snapshot.Config{Perm: 0o755 | fs.ModeSetuid | fs.ModeSetgid}.Create(context.Background(), name)
				must(t, err)
				must(t, m.Resize(10))
				_, err = m.WriteAt([]byte("program"), 0)
				must(t, err)
				must(t, way.do(m))
				wantMode(t, name, 0o755|fs.ModeSetuid|fs.ModeSetgid)
				_ = m.Close()
			}
		})
	})
}

// A file that was made read-only after OpenMut is committed with its attributes.
//
//promise:snapshot.MmapMut.Commit a file that became read-only since it was opened is committed
func TestCommitAfterChmodReadOnly(t *testing.T) {
	mounttest.AsUser(t, func(t *testing.T) {
		for _, kind := range mounttest.Kinds(mounttest.Disk) {
			name := join(kind.Dir(t), "f")
			write(t, name, noise(1, 100))
			must(t, unix.Setxattr(name, "user.u", []byte("a value"), 0))
			m := openMut(t, name)
			must(t, m.Resize(10))
			must(t, os.Chmod(name, 0o444))
			want := attributesOf(t, name)
			must(t, m.Commit())
			wantFile(t, name, noise(1, 100)[:10])
			if got := attributesOf(t, name); got != want {
				t.Errorf("attributes were\n%s\nand are now\n%s", want, got)
			}
		}
	})
}
