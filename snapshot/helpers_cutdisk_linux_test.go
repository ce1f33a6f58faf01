package snapshot_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A cutDisk is a filesystem whose device loses its end, with some of a file on it. What lies
// behind the end of its backing file a loop device cannot read, and says EIO (Linux 6.18); but
// with the first write there the backing file grows again, and then what was lost reads as zeros,
// as data. So either the filesystem is frozen, or the device itself is made smaller, too.
type cutDisk struct {
	*image
	name string
	data []byte
}

const cutSize = 1 << 20

func newCutDisk(t *testing.T, kind *mounttest.Kind) *cutDisk {
	t.Helper()
	i := newImage(t, kind, join(mounttest.Dir(t, mounttest.Memory), "image"))
	i.mount(t)
	dir := join(i.dir, "d")
	must(t, os.Mkdir(dir, 0o777))
	d := &cutDisk{image: i, name: join(dir, "f"), data: noise(1, cutSize)}
	f, err := os.Create(d.name)
	must(t, err)
	_, err = f.Write(d.data)
	must(t, err)
	must(t, f.Sync())
	must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)) // or a copy would find it in memory
	must(t, f.Close())
	must(t, syncfs(dir))
	return d
}

// cut takes away the second half of what lies of the file on the device, and of each copy of it,
// and what is behind; and the end of the device, too, if told so. Then nothing of a snapshot is in
// memory.
func (d *cutDisk) cut(t *testing.T, device bool) {
	t.Helper()
	must(t, syncfs(d.dir))
	disk, err := os.ReadFile(d.path)
	must(t, err)
	at := bytes.Index(disk, d.data[cutSize/2:cutSize/2+4096])
	if at < 0 {
		t.Fatal("the data are not on the device")
	}
	if !device {
		d.freeze(t)
	}
	must(t, os.Truncate(d.path, int64(at)))
	if device {
		must(t, d.shrink())
	}
	var e evictions
	e.evict(d.dir)
	if e.err != nil || e.private == 0 || e.left > 0 {
		t.Fatalf("%d pages of %d private files stay in memory; %v", e.left, e.private, e.err)
	}
}

// freeze keeps the filesystem from writing anything, its log included, until the test ends.
func (d *cutDisk) freeze(t *testing.T) {
	t.Helper()
	const freeze, thaw = 0xc0045877, 0xc0045878 // FIFREEZE and FITHAW of linux/fs.h
	f, err := os.Open(d.dir)
	must(t, err)
	must(t, os.NewSyscallError("FIFREEZE", unix.IoctlSetInt(int(f.Fd()), freeze, 0)))
	t.Cleanup(func() {
		if err := unix.IoctlSetInt(int(f.Fd()), thaw, 0); err != nil {
			t.Errorf("FITHAW: %v", err)
		}
		f.Close()
	})
}

// shrink makes the loop device as small as its backing file.
func (d *cutDisk) shrink() error {
	var st unix.Stat_t
	if err := unix.Stat(d.dir, &st); err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range bytes.Lines(mounts) {
		fields := bytes.Fields(line)
		if string(fields[4]) != d.dir {
			continue
		}
		source := bytes.Fields(line[bytes.Index(line, []byte(" - ")):])[2]
		device, err := os.OpenFile(string(source), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer device.Close()
		return os.NewSyscallError("LOOP_SET_CAPACITY", unix.IoctlSetInt(int(device.Fd()), unix.LOOP_SET_CAPACITY, 0))
	}
	return errors.New("not mounted")
}

// readAll reads a snapshot piece by piece in every way, and counts what fails. What does not is
// right.
func readAll(t *testing.T, m reader, data []byte) (failed int) {
	t.Helper()
	const piece = 128 << 10
	wantEIO := func(what string, err error) {
		failed++
		var pathErr *fs.PathError
		if !errors.As(err, &pathErr) || !errors.Is(err, unix.EIO) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for off := 0; off < len(data); off += piece {
		want := data[off : off+piece]
		p := make([]byte, piece)
		n, err := m.ReadAt(p, int64(off))
		if err != nil {
			wantEIO("ReadAt", err)
		} else if n != piece {
			t.Errorf("ReadAt: %d bytes, and no error", n)
		}
		if !bytes.Equal(p[:n], want[:n]) {
			t.Errorf("ReadAt: wrong bytes among the %d from %d on", n, off)
		}
		err = m.View(int64(off), piece, func(b []byte) error {
			for i := range b {
				if b[i] != want[i] {
					t.Errorf("View: byte %d is wrong", off+i)
					return io.ErrUnexpectedEOF
				}
			}
			return nil
		})
		if err != nil {
			wantEIO("View", err)
		}
		if err := m.Prefetch(int64(off), piece); err != nil {
			wantEIO("Prefetch", err)
		}
	}
	return failed
}
