package snapshot_test

import (
	"bytes"
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A WriteAt or WriteGrow of bytes that a View of another snapshot lends, on a disk that fails, ends
// that View, whose error names its own file and has the errno of the disk. It is the same whether
// the destination is in memory or not, and earlier writes stay. Afterwards both can be used.
//
//promise:snapshot.MmapMut.WriteAt if the source is in a View that faults, the error is that of the View
//promise:snapshot.MmapMut.WriteGrow if the source is in a View that faults, the error is that of the View
func TestWriteFromFaultingView(t *testing.T) {
	mounttest.EachKind(t, mounttest.Disk, func(t *testing.T, kind *mounttest.Kind) {
		mounttest.Leaks(t)
		d := newCutDisk(t, kind)
		sources := []reader{open(t, d.name), openMut(t, d.name)}
		name := join(mounttest.Dir(t, mounttest.Reflinks), "other")
		write(t, name, noise(5, cutSize))
		d.cut(t, true)
		for _, source := range sources {
			for _, warm := range []bool{false, true} {
				m := openMut(t, name)
				if warm {
					_, err := m.WriteAt(noise(6, cutSize), 0)
					must(t, err)
				}
				for what, write := range map[string]func(p []byte) (int, error){
					"WriteAt":   func(p []byte) (int, error) { return m.WriteAt(p, 0) },
					"WriteGrow": func(p []byte) (int, error) { return m.WriteGrow(p, 10) },
				} {
					returned := false
					err := source.View(0, -1, func(p []byte) error {
						_, err := write(p)
						returned = true
						return err
					})
					var pathErr *fs.PathError
					if !errors.As(err, &pathErr) || pathErr.Path != d.name || !errors.Is(err, syscall.EIO) || returned {
						t.Errorf("%T, warm: %v, %s: %v; it returned: %v", source, warm, what, err, returned)
					}
				}
				_, err := m.WriteAt([]byte("good"), 0)
				must(t, err)
				must(t, m.Close())
			}
		}
	})
}

// A ReadAt into bytes that a View of another snapshot lends, where the disk is full, ends that View.
// It is the same whether the source is in memory or not.
//
//promise:snapshot.MmapMut.View a ReadAt into its bytes, with the disk full, is an error of the View
func TestReadIntoFaultingView(t *testing.T) { smallAndPrivate(t, readIntoFaultingView) }

func readIntoFaultingView(t *testing.T) {
	onSmallDisks(t, func(t *testing.T, dir string) {
		const size = 4 << 20
		write(t, join(dir, "f"), noise(1, size))
		write(t, join(dir, "source"), noise(2, size))
		source := open(t, join(dir, "source"))
		m := create(t, join(dir, "holes"))
		must(t, m.Resize(2*size))
		fill(t, join(dir, "filler"))
		for _, warm := range []bool{false, true} {
			err := m.View(0, -1, func(p []byte) error {
				for off := 0; off < 2*size; off += size {
					if _, err := source.ReadAt(p[off:off+size], 0); err != nil {
						return err
					}
				}
				return nil
			})
			var pathErr *fs.PathError
			if !errors.As(err, &pathErr) || pathErr.Path != join(dir, "holes") || !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("warm: %v: %v", warm, err)
			}
			for range 2 {
				_, err := source.ReadAt(make([]byte, size), 0)
				must(t, err)
			}
		}
		must(t, m.Close())
	})
}

// A ReadAt into bytes that a View of a Mmap lends, which are read-only, ends that View, and changes
// nothing.
//
//promise:snapshot.Mmap.View a ReadAt into its bytes is an error of the View
func TestReadIntoReadOnlyView(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		data := noise(1, 100_000)
		write(t, join(dir, "f"), data)
		write(t, join(dir, "source"), noise(2, 100_000))
		m, source := open(t, join(dir, "f")), open(t, join(dir, "source"))
		for range 3 { // the source is in memory at last
			for what, into := range map[string]func(p []byte) error{
				"a store": func(p []byte) error { p[10] = 1; return nil },
				"ReadAt":  func(p []byte) error { _, err := source.ReadAt(p, 0); return err },
				"both Views": func(p []byte) error {
					return source.View(0, -1, func([]byte) error { _, err := source.ReadAt(p, 0); return err })
				},
			} {
				wantError(t, m.View(0, -1, into), syscall.EFAULT, "view "+m.Name()+": bad address")
				got := make([]byte, len(data))
				_, err := m.ReadAt(got, 0)
				must(t, err)
				wantBytes(t, what, got, data)
			}
			_, err := source.ReadAt(make([]byte, 100_000), 0)
			must(t, err)
		}
	})
}

// Elsewhere, memory of the caller that faults is EFAULT, and the error says whose memory it is. It is
// the same whether the file is in memory or not. If the caller catches faults itself, it gets the
// fault.
//
//promise:snapshot.MmapMut.WriteAt a source that faults is EFAULT, of the memory of the caller
//promise:snapshot.Mmap.ReadAt a destination that faults is EFAULT, of the memory of the caller
func TestCallerFaults(t *testing.T) {
	privateFiles(t)
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := join(dir, "f")
		write(t, name, noise(1, 100_000))
		r, m := open(t, name), openMut(t, name)
		for range 3 {
			p := faulty(t, 8192)
			n, err := m.WriteAt(p[:16<<10], 0)
			wantError(t, err, unix.EFAULT, "write "+name+": the bytes to write are in memory that cannot be read: bad address")
			got := make([]byte, n)
			_, rerr := m.ReadAt(got, 0)
			must(t, rerr)
			if n > 8192 || !bytes.Equal(got, p[:n]) {
				t.Errorf("%d bytes were written", n)
			}
			_, err = r.ReadAt(p[:16<<10], 0)
			wantError(t, err, unix.EFAULT, "read "+name+": the bytes go to memory that cannot be written: bad address")
			for what, use := range map[string]func(){
				"ReadAt":    func() { _, _ = r.ReadAt(p[:16<<10], 0) },
				"WriteAt":   func() { _, _ = m.WriteAt(p[:16<<10], 20_000) },
				"WriteGrow": func() { _, _ = m.WriteGrow(p[:16<<10], m.Size()) },
			} {
				if !systest.Faults(use) {
					t.Errorf("%s: the caller does not get the fault", what)
				}
			}
			_, err = m.WriteGrow([]byte("good"), m.Size()) // no lock is held
			must(t, err)
			_, err = m.WriteAt(noise(2, 100_000), 0) // from now on it is in memory
			must(t, err)
			_, err = r.ReadAt(make([]byte, 100_000), 0)
			must(t, err)
		}
	})
}
