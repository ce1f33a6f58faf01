package snapshot_test

import (
	"bytes"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// The first ReadAt of a page goes by a system call and touches no memory that may wait for the
// disk; the next one makes none.
//
//promise:snapshot.Mmap.ReadAt ReadAt makes a system call for each page not known to be resident
func TestColdReads(t *testing.T) {
	mounttest.EachOf(t, mounttest.Disk, func(t *testing.T, dir string) {
		data := noise(1, 1<<20)
		name := join(dir, "f")
		write(t, name, data)
		for _, m := range []reader{open(t, name), openMut(t, name)} {
			p := make([]byte, 10000)
			read := func(off int64) {
				t.Helper()
				clear(p)
				_, err := m.ReadAt(p, off)
				must(t, err)
				wantBytes(t, "ReadAt", p, data[off:off+int64(len(p))])
			}
			read(300000)
			if n := snapshot.PagesMapped(t, m); n != 0 {
				t.Errorf("%T: the first ReadAt touched %d pages", m, n)
			}
			read(300000)
			if n := snapshot.PagesMapped(t, m); n == 0 {
				t.Errorf("%T: the second ReadAt did not use the mapping", m)
			}
		}
	})
}

// A resident is a snapshot that says what of it is in memory.
type resident interface {
	reader
	Resident(off, n int64) bool
	Prefetch(off, n int64) error
	Close() error
}

// What was read is known to be in memory, and nothing else: not what the file has in memory, nor
// what is not there.
//
//promise:snapshot.Mmap.Resident Resident reports pages that ReadAt or Prefetch read, and no others
//promise:snapshot.Mmap.Resident Resident is false after Close
//promise:snapshot.MmapMut.Resident Resident reports pages that were read, and no others
func TestResident(t *testing.T) { smallAndPrivate(t, checkResident) }

func checkResident(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		const size = 1<<20 + 100
		name := join(dir, "f")
		write(t, name, noise(1, size))
		for _, m := range []resident{open(t, name), openMut(t, name)} {
			want := func(want bool, off, n int64) {
				t.Helper()
				if got := m.Resident(off, n); got != want {
					t.Errorf("%T: Resident(%d, %d) = %v", m, off, n, got)
				}
			}
			want(false, 0, -1)
			want(false, 300000, 1)
			_, err := m.ReadAt(make([]byte, 100000), 300000)
			must(t, err)
			want(true, 300000, 100000)
			want(false, 200000, 200000)
			want(false, 300000, 200000)
			must(t, m.Prefetch(0, -1))
			want(true, 0, -1)
			want(true, 0, size)
			want(true, size, 0)
			want(false, 0, size+1)
			want(false, size+1, 0)
			want(false, -1, 1)
			must(t, m.Close())
			want(false, 0, -1)
			want(false, 0, 0)
		}
	})
}

// Pages that have left the memory are known to be gone after the next sweep, and are read by a
// system call again; those that have not, are not. Where the kernel does not say, or says to all but the
// owner that everything is there, all are read again.
//
//promise:snapshot.Mmap.ReadAt pages that left the memory are read by pread after the next sweep
//promise:snapshot.Mmap.ReadAt if the kernel does not report residency, the sweep forgets all pages
func TestSweep(t *testing.T) {
	defer mapped.HoldSweeper()()
	mounttest.EachOf(t, mounttest.Disk, func(t *testing.T, dir string) {
		data := noise(1, 4<<20)
		name := join(dir, "f")
		write(t, name, data)
		for _, why := range []string{"", "mincore fails", "not the owner"} {
			m, denied, undo := open(t, name), why != "", func() {}
			switch why {
			case "not the owner":
				snapshot.Region(m).Disown()
			case "mincore fails":
				undo = systest.Intercept(t, func(call string) error {
					if call == "mincore" {
						return syscall.EPERM
					}
					return nil
				})
			}
			p := make([]byte, 1<<20)
			for _, off := range []int64{0, 3 << 20, 3 << 20} { // the last by the mapping
				_, err := m.ReadAt(p, off)
				must(t, err)
			}
			touched := snapshot.PagesMapped(t, m)
			snapshot.Evict(t, m, 0, 1<<20)
			if !m.Resident(0, 1<<20) {
				t.Error("it is known before the sweep")
			}
			mapped.Sweep()
			if m.Resident(0, 4096) {
				t.Error("a page that is gone is taken to be there")
			}
			if m.Resident(3<<20, 1<<20) == denied {
				t.Errorf("%s: pages that are there are known: %v", why, denied)
			}
			_, err := m.ReadAt(p, 0)
			must(t, err)
			wantBytes(t, "ReadAt", p, data[:1<<20])
			if n := snapshot.PagesMapped(t, m); n != touched {
				t.Errorf("the ReadAt after the sweep touched %d pages", n-touched)
			}
			undo()
			must(t, m.Close())
		}
	})
}

// A sweep looks at each snapshot once, and forgets those that are closed or were dropped.
func TestSweepForgets(t *testing.T) {
	defer mapped.HoldSweeper()()
	name := join(mounttest.Dir(t, mounttest.Host), "f")
	must(t, os.WriteFile(name, nil, 0o666))
	must(t, os.Truncate(name, 3*mapped.ChunkBytes))
	read := func(m reader) {
		for off := range int64(3) {
			_, err := m.ReadAt(make([]byte, 100), off*mapped.ChunkBytes)
			must(t, err)
		}
	}
	for range 3 { // what other tests left
		runtime.GC()
		mapped.Sweep()
	}
	before := mapped.Swept()
	kept, closed := open(t, name), open(t, name)
	read(kept)
	read(closed)
	func() {
		dropped, err := snapshot.Open(name)
		must(t, err)
		read(dropped)
	}()
	if n := mapped.Swept(); n != before+3 {
		t.Errorf("%d snapshots are swept, %d before", n, before)
	}
	must(t, closed.Close())
	for i := 0; mapped.Swept() > before+1; i++ {
		if i == 1000 {
			t.Fatalf("%d snapshots are swept, %d before", mapped.Swept(), before)
		}
		runtime.GC()
		mapped.Sweep()
	}
	runtime.KeepAlive(kept)
	runtime.KeepAlive(closed)
}

// The first WriteAt to a page goes by a system call, the next ones do not, until a commit has
// written everything. What was stored either way is there.
//
//promise:snapshot.MmapMut.WriteAt the first WriteAt to a page after a commit is a system call
func TestFirstStores(t *testing.T) {
	defer mapped.HoldSweeper()()
	mounttest.EachOf(t, mounttest.Disk, func(t *testing.T, dir string) {
		data := noise(1, 1<<20)
		name := join(dir, "f")
		write(t, name, data)
		m := openMut(t, name)
		for round := range 3 {
			for pass := range 3 {
				p := bytes.Repeat([]byte{byte(10*round + pass)}, 5000)
				mapped := snapshot.Region(m).Dirty(200000, len(p))
				if mapped != (pass > 0) {
					t.Errorf("round %d, pass %d: by the mapping: %v", round, pass, mapped)
				}
				_, err := m.WriteAt(p, 200000)
				must(t, err)
				copy(data[200000:], p)
				wantContents(t, m, data)
			}
			must(t, m.Commit())
			wantFile(t, name, data)
		}
		must(t, m.Resize(300<<20)) // moves the mapping: what was known stays known
		_, err := m.WriteAt([]byte("x"), 200000)
		must(t, err)
		must(t, m.Resize(700<<20))
		if !snapshot.Region(m).Dirty(200000, 1) || !m.Resident(0, 1<<20) {
			t.Error("Resize forgot what is in memory")
		}
	})
}
