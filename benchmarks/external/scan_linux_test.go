package external

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

const (
	scanSize  = 64 << 20
	scanDelay = 500 * time.Microsecond
)

// A plain writer is one that knows no other way than Write.
type plain struct{ n int64 }

func (w *plain) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	return len(p), nil
}

// inPieces reads all of r by ReadAt.
func inPieces(size int) func(r io.ReaderAt, _ *os.File) (int64, error) {
	return func(r io.ReaderAt, _ *os.File) (n int64, err error) {
		p := make([]byte, size)
		for err == nil {
			var k int
			k, err = r.ReadAt(p, n)
			n += int64(k)
		}
		if err == io.EOF {
			err = nil
		}
		return n, err
	}
}

// copied copies all of r to w, as a program does that knows nothing of either.
func copied(w io.Writer, r io.ReaderAt) (int64, error) {
	if m, ok := r.(reader); ok {
		return io.Copy(w, adapters.NewReader(m))
	}
	return io.Copy(w, io.NewSectionReader(r, 0, scanSize))
}

// scans are ways to read all of a file.
var scans = []struct {
	name string
	scan func(r io.ReaderAt, to *os.File) (int64, error)
}{
	{"ReadAt 64 KiB", inPieces(64 << 10)},
	{"ReadAt 4 KiB", inPieces(4 << 10)},
	{"io.Copy", func(r io.ReaderAt, _ *os.File) (int64, error) { return copied(new(plain), r) }},
	// Handing the kernel a mapping that is not in memory is slower (measured: 0.85 on XFS, 0.8 on
	// btrfs).
	{"io.Copy to a file", func(r io.ReaderAt, to *os.File) (int64, error) {
		if _, err := to.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
		return copied(to, r)
	}},
}

// eachScan runs f for every filesystem and every way to scan a cold file on a disk.
func eachScan[TB interface {
	testing.TB
	Run(name string, f func(TB)) bool
}](tb TB, f func(tb TB, d *fusetest.Disk, name string, scan func(r io.ReaderAt))) {
	for _, kind := range mounttest.Kinds(mounttest.Reflinks) {
		tb.Run(kind.String(), func(tb TB) {
			d := fusetest.NewDisk(tb, diskSize)
			name := filepath.Join(d.Mount(tb, kind), "f")
			write(tb, name, noise(scanSize))
			to, err := os.Create(filepath.Join(mounttest.Dir(tb, mounttest.Memory), "to"))
			must(tb, err)
			defer to.Close()
			for _, s := range scans {
				tb.Run(s.name, func(tb TB) {
					f(tb, d, name, func(r io.ReaderAt) {
						if n, err := s.scan(r, to); n != scanSize || err != nil {
							tb.Fatal(n, err)
						}
					})
				})
			}
		})
	}
}

// A snapshot of which nothing is in memory is read from start to end by requests to the disk about
// as large as those for a file, as the kernel reads ahead for both. It does not if a file is read
// from end to start, which shows that the test can fail.
func TestColdScan(t *testing.T) {
	eachScan(t, func(t *testing.T, d *fusetest.Disk, name string, scan func(r io.ReaderAt)) {
		file := coldWays[0]
		most := 2 * requests(t, d, name, file, scan)
		for _, way := range coldWays[1:3] {
			if n := requests(t, d, name, way, scan); n > most {
				t.Errorf("%s: %d requests, want at most %d: twice those of os.File", way.name, n, most)
			}
		}
		if n := requests(t, d, name, file, backwards(t)); n <= most {
			t.Errorf("this test proves nothing: %d requests without reading ahead", n)
		}
	})
}

// requests returns how many requests a scan takes of a file that is opened in a way, and checks
// that they are of every byte once, and of little else.
func requests(
	t *testing.T, d *fusetest.Disk, name string, way coldWay, scan func(r io.ReaderAt),
) int64 {
	t.Helper()
	r, closeIt := way.open(t, name)
	d.Stats(t)
	scan(r)
	s := d.Stats(t)
	must(t, closeIt())
	t.Logf("%s: %d requests, for %d KiB each", way.name, s.Reads, s.ReadBytes/max(s.Reads, 1)>>10)
	if s.ReadBytes < scanSize || s.ReadBytes > scanSize*5/4 {
		t.Errorf("%s: %d bytes of the disk were read for %d", way.name, s.ReadBytes, scanSize)
	}
	return s.Reads
}

// backwards reads a file in pieces of 16 KiB, from the last to the first.
func backwards(t *testing.T) func(r io.ReaderAt) {
	return func(r io.ReaderAt) {
		p := make([]byte, 16<<10)
		for off := int64(scanSize - len(p)); off >= 0; off -= int64(len(p)) {
			_, err := r.ReadAt(p, off)
			must(t, err)
		}
	}
}

// BenchmarkColdScan reads files from start to end that are not in memory, from a disk whose reads
// take half a millisecond: in turn an os.File and a snapshot.
//
//promise:snapshot.Mmap.ReadAt a scan of cold pages leaves the scheduler to other goroutines
func BenchmarkColdScan(b *testing.B) {
	eachScan(b, func(b *testing.B, d *fusetest.Disk, name string, scan func(r io.ReaderAt)) {
		hurry(b, os.Getpid(), d.Pid())
		d.Delay(b, scanDelay)
		var c interleave.Comparison
		c.Bytes = scanSize
		for _, way := range coldWays[:2] {
			var r io.ReaderAt
			closeIt := func() error { return nil }
			c.Ways = append(c.Ways, interleave.Way{
				Name: way.name,
				Before: func() {
					must(b, closeIt())
					r, closeIt = way.open(b, name)
				},
				Do: func(int) { scan(r) },
			})
			defer func() { must(b, closeIt()) }()
		}
		c.Bench(b)
	})
}
