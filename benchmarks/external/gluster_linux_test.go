package external

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// glusterClients returns where two clients have mounted one GlusterFS volume: see gluster.sh.
func glusterClients(t *testing.T) (a, b string) {
	t.Helper()
	a, b, ok := strings.Cut(os.Getenv("MMAPSNAPSHOT_GLUSTER"), ":")
	if !ok {
		t.Skip("needs a GlusterFS volume: run gluster.sh")
	}
	return a, b
}

// What the documentation says of the filesystem itself.
//
//promise:snapshot.Config.CheckConflict clients of GlusterFS do not share the lock of the directory
func TestGlusterKernel(t *testing.T) {
	a, b := glusterClients(t)
	data := noise(100000)
	write(t, filepath.Join(a, "kernel"), data)
	dir, err := os.Open(a)
	must(t, err)
	defer dir.Close()
	src, err := os.Open(filepath.Join(a, "kernel"))
	must(t, err)
	defer src.Close()
	dst, err := os.Create(filepath.Join(a, "kernel2"))
	must(t, err)
	defer dst.Close()

	if fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_TMPFILE|unix.O_RDWR, 0o600); err != unix.EOPNOTSUPP {
		t.Errorf("O_TMPFILE: %d, %v", fd, err)
	}
	if err := unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())); err != unix.EOPNOTSUPP {
		t.Errorf("FICLONE: %v", err)
	}
	if n, err := unix.CopyFileRange(int(src.Fd()), nil, int(dst.Fd()), nil, len(data), 0); n != len(data) || err != nil {
		t.Errorf("copy_file_range: %d, %v", n, err)
	}
	// A lease is granted beside a writer on the other client, and is not broken by his writing.
	w, err := os.OpenFile(filepath.Join(b, "kernel"), os.O_RDWR, 0)
	must(t, err)
	defer w.Close()
	if _, err := unix.FcntlInt(src.Fd(), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		t.Errorf("F_SETLEASE: %v", err)
	}
	_, err = w.WriteAt([]byte("x"), 0)
	must(t, err)
	if kind, err := unix.FcntlInt(src.Fd(), unix.F_GETLEASE, 0); kind != unix.F_RDLCK || err != nil {
		t.Errorf("the lease is %d, %v", kind, err)
	}
	// Locks on files are the clients' in common, those on directories are not.
	must(t, unix.Flock(int(dst.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	other, err := os.OpenFile(filepath.Join(b, "kernel2"), os.O_RDWR, 0)
	must(t, err)
	defer other.Close()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EAGAIN {
		t.Errorf("flock of a file on the other client: %v", err)
	}
	must(t, unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	otherDir, err := os.Open(b)
	must(t, err)
	defer otherDir.Close()
	if err := unix.Flock(int(otherDir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("flock of the directory on the other client: %v", err)
	}
}

// A snapshot there is a ComparedCopy, whoever asks for more gets an error, and what the other client
// does to the file afterwards does not show.
func TestGlusterOpen(t *testing.T) {
	mounttest.Leaks(t)
	a, b := glusterClients(t)
	data := noise(3<<20 + 17)
	write(t, filepath.Join(b, "open"), data)
	name := filepath.Join(a, "open")
	for kind, open := range openings {
		m, err := open(name)
		must(t, err)
		if method := m.(interface{ Method() snapshot.Method }).Method(); method != snapshot.ComparedCopy {
			t.Errorf("%s: %v", kind, method)
		}
		write(t, filepath.Join(b, "open"), noise(100))
		p := make([]byte, len(data))
		n, err := m.ReadAt(p, 0)
		must(t, err)
		wantBytes(t, kind, p[:n], data)
		must(t, m.Close())
		write(t, filepath.Join(b, "open"), data)
		time.Sleep(2 * time.Second) // until a knows
	}
	if _, err := (snapshot.Config{NoCopy: true}).Open(context.Background(), name); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("NoCopy: %v", err)
	}
	if _, err := (snapshot.Config{RequireConsistent: true}).Open(context.Background(), name); !errors.Is(err, snapshot.ErrUnstable) {
		t.Errorf("RequireConsistent: %v", err)
	}
	if _, err := (snapshot.Config{InPlace: true}).OpenMut(context.Background(), name); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("InPlace: %v", err)
	}
}

// The kernel shows what it knows of a file for a second, and FstatSync has it ask.
//
//promise:snapshot.Config.Open the server behind a FUSE mount answers whether the file changed
//promise:syscalls.FstatSync on a network filesystem FstatSync asks the server
func TestGlusterFstatSync(t *testing.T) {
	a, b := glusterClients(t)
	write(t, filepath.Join(b, "asked"), noise(1000))
	w, err := os.OpenFile(filepath.Join(b, "asked"), os.O_WRONLY, 0)
	must(t, err)
	defer w.Close()
	f, err := os.Open(filepath.Join(a, "asked"))
	must(t, err)
	defer f.Close()
	stale := 0
	for range 20 {
		_, err = syscalls.FstatSync(int(f.Fd()))
		must(t, err)
		before, err := syscalls.Fstat(int(f.Fd()))
		must(t, err)
		_, err = w.WriteAt(noise(1000), 0)
		must(t, err)
		must(t, w.Sync())
		if now, err := syscalls.Fstat(int(f.Fd())); err == nil && now.Mtime.Equal(before.Mtime) {
			stale++
		}
		_, err = syscalls.FstatSync(int(f.Fd()))
		must(t, err)
		if now, err := syscalls.Fstat(int(f.Fd())); err != nil || now.Mtime.Equal(before.Mtime) {
			t.Errorf("a write on the other client does not show: %v", err)
		}
	}
	if stale == 0 {
		t.Error("it showed without being asked for: nothing is tested")
	}
}

// Beside a writer on the other client there is a ComparedCopy or none, and RequireConsistent always
// refuses. Copies are torn there, as the documentation says, and this logs how many: often all,
// because pages that were read once stay in this kernel's page cache although the file changes.
func TestGlusterBesideWriter(t *testing.T) {
	mounttest.Leaks(t)
	a, b := glusterClients(t)
	const size = 1 << 20
	w, err := os.Create(filepath.Join(b, "written"))
	must(t, err)
	defer w.Close()
	_, err = w.Write(make([]byte, size))
	must(t, err)
	stop, done := make(chan bool), make(chan error)
	go func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			case <-time.After(time.Duration(i%8) * 5 * time.Millisecond):
			}
			if _, err := w.WriteAt(bytes.Repeat([]byte{byte(i)}, size), 0); err != nil {
				done <- err
				return
			}
		}
	}()
	torn, whole, none := 0, 0, 0
	name := filepath.Join(a, "written")
	for range mounttest.Count(100, 100, 2000) {
		if _, err := (snapshot.Config{RequireConsistent: true}).Open(context.Background(), name); !errors.Is(err, snapshot.ErrUnstable) {
			t.Errorf("RequireConsistent: %v", err)
		}
		m, err := snapshot.Open(name)
		if errors.Is(err, snapshot.ErrUnstable) {
			none++
			continue
		}
		must(t, err)
		if m.Method() != snapshot.ComparedCopy || m.Size() != size {
			t.Errorf("%v of %d bytes", m.Method(), m.Size())
		}
		p := make([]byte, size)
		_, err = m.ReadAt(p, 0)
		must(t, err)
		if bytes.Equal(p, bytes.Repeat(p[:1], size)) {
			whole++
		} else {
			torn++
		}
		must(t, m.Close())
	}
	close(stop)
	must(t, <-done)
	t.Logf("%d torn, %d untorn, %d ErrUnstable", torn, whole, none)
}

// Who reads the file by the other client while it is committed, in each way, sees one version,
// never an older one than before, and the last one in the end; and no other name is left.
//
//promise:snapshot.MmapMut.Commit another client of GlusterFS reads one version, no name is left
func TestGlusterCommit(t *testing.T) {
	mounttest.Leaks(t)
	a, b := glusterClients(t)
	must(t, os.Mkdir(filepath.Join(a, "dir"), 0o700))
	name, seen := filepath.Join(a, "dir", "f"), filepath.Join(b, "dir", "f")
	const size = 300000
	version := func(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%08d", i), size/8) }
	write(t, name, version(0))
	must(t, os.Chmod(name, 0o640))

	last := mounttest.Count(40, 40, 1000)
	done := make(chan error, 1)
	go func() { done <- commitVersions(name, last, version) }()
	at, reads := 0, 0
	for deadline := time.Now().Add(time.Minute); at != last; reads++ {
		p, err := os.ReadFile(seen)
		if errors.Is(err, syscall.ESTALE) {
			continue // it was replaced between lookup and open
		}
		must(t, err)
		var i int
		if _, err := fmt.Sscanf(string(p[:min(8, len(p))]), "%d", &i); err != nil {
			t.Fatal(err)
		}
		wantBytes(t, fmt.Sprint("version ", i), p, version(i))
		if i < at || t.Failed() {
			t.Fatalf("version %d after %d", i, at)
		}
		if at = i; time.Now().After(deadline) {
			t.Fatalf("version %d of %d is the last that is seen", at, last)
		}
	}
	must(t, <-done)
	t.Logf("%d reads by the other client beside %d commits", reads, last)
	for _, dir := range []string{filepath.Dir(name), filepath.Dir(seen)} {
		entries, err := os.ReadDir(dir)
		must(t, err)
		if len(entries) != 1 {
			t.Errorf("names: %v", entries)
		}
	}
	if st, err := os.Stat(seen); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", st, err)
	}
}

func commitVersions(name string, last int, version func(int) []byte) error {
	m, err := snapshot.OpenMut(name)
	if err != nil {
		return err
	}
	for i := 1; i <= last; i++ {
		if _, err := m.WriteAt(version(i), 0); err != nil {
			return err
		}
		commit := m.Commit
		if i == last {
			commit = m.CommitAndClose
		}
		if err := commit(); err != nil {
			return fmt.Errorf("version %d: %w", i, err)
		}
	}
	return nil
}
