package fusetest_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func TestMain(m *testing.M) { fusetest.Main(m) }

// each runs f on a disk with each filesystem, with a file of so many pages on it, which is not in
// memory.
func each(t *testing.T, pages int, f func(t *testing.T, d *fusetest.Disk, file *os.File, data []byte)) {
	for _, kind := range mounttest.Kinds(mounttest.Disk) {
		t.Run(kind.String(), func(t *testing.T) {
			d := fusetest.NewDisk(t, 320<<20)
			name := filepath.Join(d.Mount(t, kind), "f")
			data := make([]byte, pages*page)
			_, _ = rand.Read(data)
			must(t, os.WriteFile(name, data, 0o644))
			file, err := os.OpenFile(name, os.O_RDWR, 0)
			must(t, err)
			defer file.Close()
			must(t, file.Sync())
			evict(t, file)
			f(t, d, file, data)
		})
	}
}

// Reads take as long as they should.
func TestDelay(t *testing.T) {
	each(t, 1, func(t *testing.T, d *fusetest.Disk, f *os.File, data []byte) {
		const delay = 100 * time.Millisecond
		d.Delay(t, delay)
		d.Stats(t)
		start := time.Now()
		wantPages(t, f, data, nil)
		if took := time.Since(start); took < delay {
			t.Errorf("read in %v", took)
		}
		if s := d.Stats(t); s.Reads == 0 || s.ReadBytes < page {
			t.Errorf("%+v", s)
		}
	})
}

// Reads are held back until they are let go, all at the same time, and others are not.
func TestHoldReads(t *testing.T) {
	each(t, 64, func(t *testing.T, d *fusetest.Disk, f *os.File, data []byte) {
		var held []fusetest.Range
		for i := range 32 {
			held = append(held, d.Find(t, data[2*i*page:][:page])...)
		}
		d.HoldReads(t, held...)
		d.Stats(t)
		var readers sync.WaitGroup
		var letGo atomic.Bool
		for i := range 32 {
			readers.Go(func() {
				p := make([]byte, page)
				if _, err := f.ReadAt(p, int64(2*i*page)); err != nil || !bytes.Equal(p, data[2*i*page:][:page]) {
					t.Error(i, err)
				}
				if !letGo.Load() {
					t.Errorf("page %d was not held", 2*i)
				}
			})
		}
		d.WaitHeld(t, 32)
		if _, err := f.ReadAt(make([]byte, page), page); err != nil {
			t.Error(err)
		}
		letGo.Store(true)
		d.Heal(t)
		readers.Wait()
		if s := d.Stats(t); s.Most < 32 {
			t.Errorf("%d reads at the same time, of %d", s.Most, s.Reads)
		}
	})
}

// Reads of the pages that are bad fail, and no others, until the disk is good again.
func TestFailReads(t *testing.T) {
	each(t, 64, func(t *testing.T, d *fusetest.Disk, f *os.File, data []byte) {
		d.FailReads(t, append(d.Find(t, data[7*page:8*page]), d.Find(t, data[40*page:42*page])...)...)
		wantPages(t, f, data, map[int]bool{7: true, 40: true, 41: true})
		if s := d.Stats(t); s.FailedReads == 0 {
			t.Errorf("%+v", s)
		}
		d.Heal(t)
		evict(t, f)
		wantPages(t, f, data, nil)
	})
}

// Writes that fail are errors of fsync, and change nothing on the disk.
func TestFailWrites(t *testing.T) {
	each(t, 4, func(t *testing.T, d *fusetest.Disk, f *os.File, data []byte) {
		d.FailWrites(t, fusetest.Everything)
		other := make([]byte, page)
		_, _ = rand.Read(other)
		_, err := f.WriteAt(other, page)
		must(t, err)
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("fsync: %v", err)
		}
		d.Find(t, data[page:2*page])
		if s := d.Stats(t); s.FailedWrites == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Writes of what is marked fail, and no others.
func TestFailWritesOf(t *testing.T) {
	each(t, 4, func(t *testing.T, d *fusetest.Disk, f *os.File, data []byte) {
		other := make([]byte, 2*page)
		_, _ = rand.Read(other)
		d.FailWritesOf(t, other[page:page+16])
		_, err := f.WriteAt(other[:page], page)
		must(t, err)
		must(t, f.Sync())
		_, err = f.WriteAt(other, 2*page)
		must(t, err)
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("fsync: %v", err)
		}
		d.Find(t, other[:page])
	})
}

// A disk that is gone answers nothing, and keeps nobody waiting.
func TestKill(t *testing.T) {
	each(t, 64, func(t *testing.T, d *fusetest.Disk, f *os.File, _ []byte) {
		d.HoldReads(t, fusetest.Everything)
		var readers sync.WaitGroup
		for i := range 8 {
			readers.Go(func() {
				if _, err := f.ReadAt(make([]byte, page), int64(i*8*page)); !errors.Is(err, syscall.EIO) {
					t.Errorf("page %d: %v", i, err)
				}
			})
		}
		d.WaitHeld(t, 1)
		d.Kill(t)
		readers.Wait()
	})
}
