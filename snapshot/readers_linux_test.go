package snapshot_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Readers that open and read the file in the ordinary way, while it is committed again and
// again, see one version of it each time, and never an older one than before.
//
//promise:snapshot.MmapMut.Commit a process that opens the name reads one version of the file, whole
func TestReadersDuringCommits(t *testing.T) { smallAndPrivate(t, readersDuringCommits) }

func readersDuringCommits(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		// Version v is v, in every word, and of a length of its own.
		version := func(v uint64) []byte {
			return bytes.Repeat(binary.LittleEndian.AppendUint64(nil, v), 1000+int(v%7)*500)
		}
		write(t, name, version(0))
		m := openMut(t, name)
		stop := make(chan struct{})
		var readers sync.WaitGroup
		var reads atomic.Int64
		for r := range 3 {
			readers.Go(func() {
				for last := uint64(0); ; {
					select {
					case <-stop:
						return
					default:
					}
					var got []byte
					if r == 0 { // by several read calls
						f, err := os.Open(name)
						if err != nil {
							t.Error(err)
							return
						}
						for p := make([]byte, 512); err == nil; {
							var n int
							n, err = f.Read(p)
							got = append(got, p[:n]...)
						}
						_ = f.Close()
					} else {
						var err error
						if got, err = os.ReadFile(name); err != nil {
							t.Error(err)
							return
						}
					}
					v := binary.LittleEndian.Uint64(got)
					if !bytes.Equal(got, version(v)) || v < last {
						t.Errorf("version %d after %d, %d bytes, is torn or old", v, last, len(got))
						return
					}
					last = v
					reads.Add(1)
				}
			})
		}
		commits := mounttest.Count(12, 250, 10000)
		for v := uint64(1); v <= uint64(commits); v++ {
			want := version(v)
			must(t, m.Resize(int64(len(want))))
			_, err := m.WriteAt(want, 0)
			must(t, err)
			must(t, m.Commit())
		}
		close(stop)
		readers.Wait()
		t.Logf("%d reads beside %d commits", reads.Load(), commits)
	})
}
