package snapshot_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Everything at once on one MmapMut: each reader sees bytes that somebody stored there, every
// commit is one version of each record, and nothing blocks for ever.
//
//promise:snapshot.MmapMut all methods can run at the same time on several goroutines
func TestStorm(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		const record, records = 1 << 12, 64
		name := join(dir, "f")
		write(t, name, make([]byte, record*records))
		m := openMut(t, name)
		fill := func(p []byte, v uint64) {
			for i := 0; i < len(p); i += 8 {
				binary.LittleEndian.PutUint64(p[i:], v)
			}
		}
		whole := func(p []byte) bool { return len(p) <= 8 || bytes.Equal(p[8:], p[:len(p)-8]) }
		rounds := mounttest.Count(12, 150, 10000)
		stop := make(chan struct{})
		var workers, committer sync.WaitGroup
		work := func(f func(r *rand.Rand, p []byte) error) {
			seed := rand.Uint64()
			workers.Go(func() {
				r, p := rand.New(rand.NewPCG(seed, 1)), make([]byte, record)
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := f(r, p); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		var locks [records]sync.RWMutex // stores to one record are the callers' business
		for range 2 {
			work(func(r *rand.Rand, p []byte) error {
				k := r.IntN(records)
				locks[k].Lock()
				defer locks[k].Unlock()
				fill(p, r.Uint64())
				_, err := m.WriteAt(p, int64(k*record))
				return err
			})
			work(func(r *rand.Rand, p []byte) error {
				k := r.IntN(records)
				locks[k].RLock()
				defer locks[k].RUnlock()
				if r.IntN(2) == 0 {
					_, err := m.ReadAt(p, int64(k*record))
					if !whole(p) {
						t.Error("a record is torn")
					}
					return err
				}
				return m.View(int64(k*record), record, func(b []byte) error {
					if !whole(b) {
						t.Error("a record is torn")
					}
					return nil
				})
			})
		}
		work(func(r *rand.Rand, p []byte) error { // what lies behind the records comes and goes
			n := r.Int64N(1 << 22)
			if err := m.Resize(record*records + n); errors.Is(err, syscall.EBUSY) { // a View runs
				return nil
			} else if err != nil {
				return err
			}
			if _, err := m.ReadAt(p[:1], record*records+n-1); err != nil && n > 0 && err != io.EOF { //nolint:errorlint // io.EOF itself is promised
				return err
			}
			return nil
		})
		committer.Go(func() {
			for i := range rounds {
				if err := m.Commit(); err != nil {
					t.Error(err)
					return
				}
				got := open(t, name)
				for k := range records {
					must(t, got.View(int64(k*record), record, func(b []byte) error {
						if !whole(b) {
							t.Errorf("record %d of commit %d is torn", k, i)
						}
						return nil
					}))
				}
				must(t, got.Close())
			}
		})
		committer.Wait()
		close(stop)
		workers.Wait()
		want := make([]byte, record*records)
		_, err := m.ReadAt(want, 0)
		must(t, err)
		must(t, m.Resize(int64(len(want))))
		must(t, m.CommitAndClose())
		wantFile(t, name, want)
		wantNames(t, dir, "f")
	})
}

// A commit contains all of a WriteAt or nothing, however long it is.
//
//promise:snapshot.MmapMut.WriteAt a commit contains all of a WriteAt or nothing of it
//promise:adapters.File.Sync the file has all of a WriteAt within its size or nothing of it
func TestCommitBesideWriteAt(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		const size = 2 << 20
		name := join(dir, "f")
		write(t, name, make([]byte, size))
		m := openMut(t, name)
		stop := make(chan struct{})
		var writer sync.WaitGroup
		writer.Go(func() {
			for v := byte(1); ; v++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := m.WriteAt(bytes.Repeat([]byte{v}, size), 0); err != nil {
					t.Error(err)
					return
				}
			}
		})
		versions := map[byte]bool{}
		commits := mounttest.Count(10, 50, 5000)
		for i := 0; i < commits || len(versions) < 3; i++ { // until the writer had its turns
			must(t, m.Commit())
			r, err := snapshot.Open(name)
			must(t, err)
			must(t, r.View(0, -1, func(b []byte) error {
				if !bytes.Equal(b[1:], b[:len(b)-1]) {
					t.Errorf("commit %d is torn", i)
				}
				versions[b[0]] = true
				return nil
			}))
			must(t, r.Close())
		}
		close(stop)
		writer.Wait()
	})
}

// Two Commits at a time, and Close beside them: the file is one version, and closing waits.
func TestCommitsBesideClose(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		for range mounttest.Count(30, 150, 3000) {
			write(t, name, []byte("old"))
			m := openMut(t, name)
			must(t, m.Resize(5000))
			var all sync.WaitGroup
			for i := range 4 {
				all.Go(func() {
					var err error
					switch i {
					case 0, 1:
						err = m.Commit()
					case 2:
						err = m.CommitAndClose()
					case 3:
						err = m.Close()
					}
					if err != nil && !errors.Is(err, fs.ErrClosed) {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if n := fileSize(t, name); n != 3 && n != 5000 {
				t.Error(n)
			}
		}
		wantNames(t, dir, "f")
	})
}
