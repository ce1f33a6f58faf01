package snapshot_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"sync"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Nothing that others do to the file shows in a snapshot, whether its pages were read before or
// not.
//
//promise:snapshot.Config.Open no write, truncation or replacement of the file shows in the snapshot
//promise:snapshot.Mmap no change of the file shows in a page, read before or not
//promise:snapshot.Open no change of the file shows in a snapshot that Open made
func TestIsolation(t *testing.T) { smallAndPrivate(t, isolation) }

func isolation(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		for _, change := range changes {
			t.Run(change.name, func(t *testing.T) {
				mounttest.Leaks(t)
				name := join(dir, "f")
				data := noise(1, 12289)
				write(t, name, data)
				cold, warm, mut := open(t, name), open(t, name), openMut(t, name)
				wantContents(t, warm, data)
				change.do(t, name)
				wantContents(t, cold, data)
				wantContents(t, warm, data)
				wantContents(t, mut, data)
			})
		}
	})
}

// A writer that had the file open, or mapped, before the snapshot was made is kept out as well.
//
//promise:snapshot.Config.Open a writer that opened or mapped the file earlier changes no snapshot
func TestIsolationFromOpenWriter(t *testing.T) { smallAndPrivate(t, isolationFromOpenWriter) }

func isolationFromOpenWriter(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 12289)
		write(t, name, data)
		f := openFile(t, name, os.O_RDWR)
		b, err := syscalls.Mmap(int(f.Fd()), 12289, true)
		must(t, err)
		defer func() { _ = syscalls.Munmap(b) }()
		b[0]++ // the page is dirty when the snapshot is made
		data[0]++
		m := open(t, name)
		wantContents(t, m, data)
		clear(b)
		_, err = f.WriteAt(noise(2, 5000), 7000)
		must(t, err)
		wantContents(t, m, data)
	})
}

// What is stored into a MmapMut shows nowhere before a commit.
//
//promise:snapshot.MmapMut no store shows in the file before a commit
//promise:snapshot.OpenMut stores into the snapshot show nowhere before a commit
func TestStoresArePrivate(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 12289)
		write(t, name, data)
		before, m := open(t, name), openMut(t, name)
		_, err := m.WriteAt(noise(2, 5000), 100)
		must(t, err)
		clear(m.Bytes()[6000:])
		must(t, m.Resize(100000))
		after := open(t, name)
		for _, r := range []reader{before, after} {
			wantContents(t, r, data)
		}
		wantFile(t, name, data)
		wantNames(t, dir, "f")
		must(t, m.Close())
		wantFile(t, name, data)
		wantNames(t, dir, "f")
	})
}

// Where the filesystem has reflinks, a snapshot shows one version of a file that is written
// over whole, all the time, by single system calls.
//
//promise:snapshot.Reflink the snapshot shows the file between two write calls of its writers
func TestNeverTorn(t *testing.T) { smallAndPrivate(t, neverTorn) }

func neverTorn(t *testing.T) {
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		const size = 64 << 10
		name := join(dir, "f")
		version := func(v uint64) []byte {
			return bytes.Repeat(binary.LittleEndian.AppendUint64(nil, v), size/8)
		}
		write(t, name, version(0))
		f := openFile(t, name, os.O_RDWR)
		stop := make(chan struct{})
		var writer sync.WaitGroup
		var writes uint64
		writer.Go(func() {
			for v := uint64(1); ; v++ {
				select {
				case <-stop:
					writes = v - 1
					return
				default:
				}
				if _, err := f.WriteAt(version(v), 0); err != nil {
					t.Error(err)
				}
			}
		})
		torn := 0
		opens := mounttest.Count(300, 3000, 100000)
		for range opens {
			m, err := snapshot.Open(name)
			if err != nil {
				t.Error(err)
				break
			}
			err = m.View(0, -1, func(b []byte) error {
				if !bytes.Equal(b[8:], b[:len(b)-8]) {
					torn++
				}
				return nil
			})
			if m.Method() != snapshot.Reflink || err != nil {
				t.Error(m.Method(), err)
			}
			must(t, m.Close())
		}
		close(stop)
		writer.Wait()
		if torn > 0 {
			t.Errorf("%d of %d snapshots were torn", torn, opens)
		}
		if writes == 0 {
			t.Error("the writer wrote nothing")
		}
		t.Logf("%d snapshots beside %d writes", opens, writes)
	})
}

// What safety hangs on is looked at: an unnamed file that has a name is refused, and so is a clone
// cut short by an error that the kernel kept to itself, as those before 6.9 did.
//
//promise:snapshot.Config.Open Open fails if the private file has a name or a wrong size
func TestCopyIsChecked(t *testing.T) {
	privateFiles(t)
	systest.NoPauses(t)
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 10000))
		for _, test := range []struct {
			change func(st *syscalls.Stat)
			text   string
		}{
			{func(st *syscalls.Stat) { st.Nlink = 1 }, "the private copy, made without a name, has 1 names"},
			{func(st *syscalls.Stat) { st.Size = 4096 }, "ficlone: the clone has 4096 bytes, the file 10000"},
		} {
			undo := systest.ChangeStats(test.change)
			_, err := snapshot.Open(name)
			undo()
			if err == nil || err.Error() != "open "+name+": "+test.text {
				t.Errorf("%v, want %s", err, test.text)
			}
		}
		wantNames(t, dir, "f")
	})
}

// A file that is cut off and written anew as os.WriteFile does, while it is cloned, is cloned again.
//
//promise:snapshot.Config.Open a file that is truncated and rewritten meanwhile is cloned again
func TestCloneBesideWriteFile(t *testing.T) {
	privateFiles(t)
	mounttest.EachOf(t, mounttest.Reflinks, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, data := join(dir, "f"), noise(1, 10000)
		write(t, name, data)
		clones := 0 // of this goroutine alone; other calls may be the sweeper's
		undo := systest.Intercept(t, func(call string) error {
			switch call {
			case "ficlone":
				if clones++; clones == 1 {
					must(t, os.Truncate(name, 0))
				}
			case "fstat":
				if clones == 1 && fileSize(t, name) == 0 { // the clone is made
					write(t, name, data)
				}
			}
			return nil
		})
		m, err := snapshot.Open(name)
		undo()
		must(t, err)
		wantContents(t, m, data)
		must(t, m.Close())
		if clones != 2 {
			t.Errorf("cloned %d times", clones)
		}
	})
}
