package snapshot_test

import (
	"context"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Each way of failing has its text and its kind. Where the errno concerns the name that the caller
// gave, and nothing is to be added, the functions of package os know it, too.
//
//promise:snapshot.Config.Open os.IsNotExist and os.IsPermission know errors of the name that was given
//promise:snapshot.Config.Create os.IsNotExist knows that the directory is missing
//promise:snapshot.MmapMut.Link os.IsExist knows that the name is taken
//promise:snapshot.ErrConflict the error says what changed
//promise:snapshot.ErrNotDurable the error says what could not be written
//promise:snapshot.MmapMut.Commit the error of a directory that was removed is not os.IsNotExist
func TestErrorTexts(t *testing.T) {
	systest.NoPauses(t)
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		t.Chdir(dir)
		for _, name := range []string{"f", "g", "changed", "moved", "removed", "other"} {
			write(t, name, noise(1, 10000))
		}
		must(t, os.Mkdir("gone", 0o755))
		write(t, "gone/f", nil)
		f, changed, gone := openMut(t, "f"), checked(t, "changed"), openMut(t, "gone/f")
		moved, removed, other := checked(t, "moved"), checked(t, "removed"), openMut(t, "other")
		must(t, os.WriteFile("changed", nil, 0o644))
		must(t, os.Rename("g", "moved"))
		must(t, os.Remove("removed"))
		must(t, os.RemoveAll("gone"))
		must(t, os.Remove("other"))
		write(t, "other", nil)
		must(t, os.Chmod("other", 0o600))
		write(t, "g", nil)
		made, err := snapshot.Config{CheckConflict: true}.Create(context.Background(), "new")
		must(t, err)
		closeLater(t, made)
		write(t, "new", nil)
		again := checked(t, "g")
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		lock := openFile(t, ".", os.O_RDONLY)
		const missing, conflict = ": no such file or directory", ": conflicting change: "
		const elsewhere = "the name does not lead to the file that was opened or last committed"
		for _, way := range []failingWay{
			{"open missing" + missing, "os.IsNotExist ErrNotExist", tryOpen("missing")},
			{"open none/f" + missing, "os.IsNotExist ErrNotExist", tryOpenMut("none/f")},
			{"create none/f" + missing, "os.IsNotExist ErrNotExist", tryCreate("none/f")},
			{"commit f none/f" + missing, "os.IsNotExist ErrNotExist", func() error { return f.CommitTo("none/f") }},
			{"link f none/f" + missing, "os.IsNotExist ErrNotExist", func() error { return f.Link("none/f") }},
			{"link f g: file exists", "os.IsExist ErrExist", func() error { return f.Link("g") }},
			{
				"link f h: file exists", "os.IsExist ErrExist",
				afterFailing(t, "linkat", 1, syscall.EEXIST, func() error { return f.Link("h") }),
			},
			{"commit gone/f: the directory was removed" + missing, "ErrNotExist", gone.Commit},
			{"commit new" + conflict + "file exists", "ErrExist ErrConflict", made.Commit},
			{
				"commit changed" + conflict + "the file was changed since it was opened or last committed",
				"ErrConflict", changed.Commit,
			},
			{"commit moved" + conflict + elsewhere, "ErrConflict", moved.Commit},
			{"commit removed" + conflict + elsewhere, "ErrConflict", removed.Commit},
			{
				"commit other" + conflict +
					"another file has the name, with another owner, mode, ACL or security label",
				"ErrConflict", other.Commit,
			},
			{
				"commit g: another commit holds the lock of the directory: flock: resource temporarily unavailable",
				"EAGAIN",
				func() error {
					must(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
					defer func() { must(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_UN)) }()
					return again.Commit()
				},
			},
			{
				"commit f: committed, but perhaps not durable: directory: fsync: input/output error",
				"ErrNotDurable EIO",
				afterFailing(t, "fsync", 2, syscall.EIO, f.Commit),
			},
			{
				"commit f: permission denied", "os.IsPermission ErrPermission",
				afterFailing(t, "renameat", 1, syscall.EACCES, f.Commit),
			},
			{
				"commit f: tmpfile: no space left on device", "ENOSPC",
				afterFailing(t, "tmpfile", 1, syscall.ENOSPC, f.Commit),
			},
			{"commit f: context canceled", "Canceled", func() error { return f.CommitContext(ended) }},
			{"resize f: negative size -1: invalid argument", "ErrInvalid", func() error { return f.Resize(-1) }},
			{
				"resize f: a View or Prefetch is running: device or resource busy", "EBUSY",
				func() error { return f.View(0, 1, func([]byte) error { return f.Resize(0) }) },
			},
			{
				"view f: 2 bytes at offset 9999 are not within the size of 10000: invalid argument", "ErrInvalid",
				func() error { return f.View(9999, 2, nil) },
			},
			{
				"write f: file too large", "EFBIG",
				func() error { _, err := f.WriteGrow([]byte("x"), 1<<63-1); return err },
			},
			{
				"open f: too many open files", "EMFILE",
				afterFailing(t, "openpath", 0, syscall.EMFILE, tryOpen("f")),
			},
			{
				"open /proc/self/status: file does not report its size: unsupported operation",
				"ErrUnsupported", tryOpen("/proc/self/status"),
			},
			{
				"create new: a new file cannot be committed in place: unsupported operation", "ErrUnsupported",
				func() error {
					_, err := snapshot.Config{InPlace: true}.Create(context.Background(), "new")
					return err
				},
			},
			{"close f: file already closed", "ErrClosed", func() error { must(t, f.Close()); return f.Close() }},
			{"commit f: file already closed", "ErrClosed", f.Commit},
		} {
			way.check(t)
		}
	})
}

// An errno that concerns the directory of the name comes with the name of the directory. Errors
// with a reason are known to errors.Is alone.
//
//promise:snapshot.Config.OpenMut if the directory may not be written to, the error names the directory
//promise:snapshot.MmapMut.Commit if the directory may not be written to, the error names the directory
//promise:snapshot.Config.Open os.IsPermission knows that the file may not be read
//promise:snapshot.Config.FromFileMut FromFileMut needs the permissions of OpenMut
func TestErrorTextsOfUser(t *testing.T) {
	mounttest.EachKind(t, mounttest.Known, func(t *testing.T, kind *mounttest.Kind) {
		var dir string
		if !mounttest.IsUserChild() {
			dir = kind.Dir(t)
			for _, name := range []string{"secret", "readonly", "own", "sticky/theirs", "closed/own", "late/own"} {
				must(t, os.MkdirAll(join(join(dir, name), ".."), 0o755))
				write(t, join(dir, name), noise(1, 10000))
				must(t, os.Chmod(join(dir, name), 0o644))
			}
			must(t, os.Chmod(join(dir, "secret"), 0o600))
			must(t, os.Chmod(join(dir, "sticky"), os.ModeSticky|0o777))
			must(t, os.Chmod(join(dir, "sticky/theirs"), 0o666))
			must(t, os.Chown(join(dir, "sticky/theirs"), 1, 1))
			for _, name := range []string{"own", "closed/own", "closed", "late", "late/own"} {
				must(t, os.Chown(join(dir, name), 65534, 65534))
			}
			must(t, os.Chmod(join(dir, "closed"), 0o333))
		}
		mounttest.AsUser(t, func(t *testing.T) {
			mounttest.Leaks(t)
			dir := os.Getenv("TEST_DIR")
			t.Chdir(dir)
			late := openMut(t, "late/own")
			must(t, os.Chmod("late", 0o555))
			const denied, known = ": permission denied", "os.IsPermission ErrPermission"
			for _, way := range []failingWay{
				{"open secret" + denied, known, tryOpen("secret")},
				{"open readonly" + denied, known, tryOpenMut("readonly")},
				{"open " + dir + denied, known, tryOpenMut("own")},
				{
					"open readonly" + denied, known,
					func() error { _, err := snapshot.FromFileMut(openFile(t, "readonly", os.O_RDONLY)); return err },
				},
				{"create " + dir + denied, known, tryCreate("new")},
				{"commit " + join(dir, "late") + denied, known, late.Commit},
				{"link late/own " + join(dir, "late") + denied, known, func() error { return late.Link("late/new") }},
				{
					"create sticky/theirs: it belongs to another user (1) and lies in a sticky directory" + denied,
					"ErrPermission", tryCreate("sticky/theirs"),
				},
				{
					"open closed/own: the directory, which a commit opens for fsync (not with Config.NoSync): openat" + denied,
					"ErrPermission", tryOpenMut("closed/own"),
				},
			} {
				way.check(t)
			}
		}, "TEST_DIR="+dir)
	})
}

// Why a copy is not consistent is said.
//
//promise:snapshot.ErrUnstable the error says why there is no consistent copy
func TestErrorTextsOfCopies(t *testing.T) {
	systest.NoPauses(t)
	mounttest.EachOf(t, mounttest.Leases|mounttest.NoReflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		t.Chdir(dir)
		write(t, "f", noise(1, 10000))
		f := openFile(t, "f", os.O_RDONLY)
		c := snapshot.Config{RequireConsistent: true}
		const refused = "open f: no consistent copy: "
		failingWay{
			refused + "no lease is taken on a descriptor that is open for reading", "ErrUnstable",
			func() error { _, err := c.FromFile(context.Background(), f); return err },
		}.check(t)
		_ = openFile(t, "f", os.O_WRONLY)
		failingWay{
			refused + "the file is open for writing", "ErrUnstable EAGAIN",
			func() error { _, err := c.Open(context.Background(), "f"); return err },
		}.check(t)
	})
}

func tryOpen(name string) func() error {
	return func() error { _, err := snapshot.Open(name); return err }
}

func tryOpenMut(name string) func() error {
	return func() error { _, err := snapshot.OpenMut(name); return err }
}

func tryCreate(name string) func() error {
	return func() error { _, err := snapshot.Create(name); return err }
}
