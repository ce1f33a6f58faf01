package external

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// A readWay reads a snapshot from the start as far as it goes, and returns what it got and what it
// claims to have got.
type readWay func(t *testing.T, m reader) (got []byte, n int64, err error)

func byReadAt(size int) readWay {
	return func(_ *testing.T, m reader) (got []byte, n int64, err error) {
		p := make([]byte, size)
		for err == nil {
			var k int
			k, err = m.ReadAt(p, n)
			n += int64(k)
			got = append(got, p[:k]...)
		}
		return got, n, err
	}
}

// A stream is what Reader and File have in common.
type stream interface {
	io.Reader
	io.Seeker
	io.WriterTo
	io.ByteReader
}

func streamOf(m reader, asFile bool) stream {
	if asFile {
		return adapters.NewFile(m.(*snapshot.MmapMut))
	}
	return adapters.NewReader(m)
}

// streamWays read through an adapter, whose cursor must be behind what they got.
var streamWays = map[string]func(t *testing.T, r stream) (got []byte, n int64, err error){
	"Read": func(_ *testing.T, r stream) ([]byte, int64, error) {
		got, err := io.ReadAll(struct{ io.Reader }{r})
		return got, int64(len(got)), err
	},
	"ReadByte": func(_ *testing.T, r stream) (got []byte, n int64, err error) {
		for {
			c, err := r.ReadByte()
			if err != nil {
				return got, n, err
			}
			got = append(got, c)
			n++
		}
	},
	"SeekRead": func(_ *testing.T, r stream) (got []byte, n int64, err error) {
		p := make([]byte, 3*page)
		for err == nil {
			var k int
			if _, err = r.Seek(n, io.SeekStart); err == nil {
				k, err = r.Read(p)
			}
			got = append(got, p[:k]...)
			n += int64(k)
		}
		return got, n, err
	},
	"WriteToBuffer": func(_ *testing.T, r stream) ([]byte, int64, error) {
		var to bytes.Buffer
		n, err := r.WriteTo(&to)
		return to.Bytes(), n, err
	},
	"WriteToFile": func(t *testing.T, r stream) ([]byte, int64, error) {
		to, err := os.CreateTemp(t.TempDir(), "")
		must(t, err)
		defer to.Close()
		n, err := r.WriteTo(to)
		got, rerr := os.ReadFile(to.Name())
		must(t, rerr)
		return got, n, err
	},
}

// readWays returns all ways to read a snapshot of that kind.
func readWays(kind string) map[string]readWay {
	ways := map[string]readWay{
		"View": byView, "ReadAt": byReadAt(1 << 20), "ReadAtPages": byReadAt(page), "ReadAtOdd": byReadAt(10007),
	}
	for name, way := range streamWays {
		for _, asFile := range []bool{false, true} {
			if asFile && kind != "MmapMut" {
				continue
			}
			prefix := map[bool]string{false: "Reader.", true: "File."}[asFile]
			ways[prefix+name] = func(t *testing.T, m reader) ([]byte, int64, error) {
				r := streamOf(m, asFile)
				got, n, err := way(t, r)
				if at, _ := r.Seek(0, io.SeekCurrent); at != n {
					t.Errorf("the cursor is at %d after %d bytes", at, n)
				}
				return got, n, err
			}
		}
	}
	return ways
}

// Whichever way a snapshot is read, a page that the disk cannot read is EIO, what stands before it has
// been read and is right, nothing behind it is claimed, the other pages can be read as os.File reads
// them, and, once the disk works again, so can this one: the kernel asks the disk each time, and forgets
// the error as soon as it gets the page.
//
//promise:snapshot.Mmap.ReadAt a page that the disk cannot read is EIO; all other pages can be read
//promise:snapshot.Mmap.View a page that the disk cannot read is EIO; all other pages can be read
func TestReadFault(t *testing.T) {
	eachDisk(t, func(t *testing.T, d *fusetest.Disk, dir string) {
		name := filepath.Join(dir, "f")
		data := noise(160 * page)
		write(t, name, data)
		for kind := range openings {
			for way, read := range readWays(kind) {
				t.Run(kind+"."+way, func(t *testing.T) {
					for _, bad := range []int{0, 3, 100} {
						m := openCold(t, kind, name)
						breakPage(t, d, data, bad)
						got, n, err := read(t, m)
						if n != int64(len(got)) || !errors.Is(err, syscall.EIO) {
							t.Errorf("page %d is bad: read %d bytes of %d, %v", bad, len(got), n, err)
						}
						if at := int64(bad * page); n > at || n < at/lost*lost {
							t.Errorf("page %d is bad: read %d bytes", bad, n)
						}
						wantBytes(t, "what was read", got, data[:len(got)])
						wantPages(t, m, data, bad)
						d.Heal(t)
						wantPages(t, m, data, -1)
						got, _, err = byView(t, m)
						must(t, err)
						wantBytes(t, "View", got, data)
						must(t, m.Close())
					}
				})
			}
		}
	})
}

// Prefetch says EIO where a page cannot be read, and nothing where all can.
func TestPrefetchFault(t *testing.T) {
	eachDisk(t, func(t *testing.T, d *fusetest.Disk, dir string) {
		name := filepath.Join(dir, "f")
		data := noise(160 * page)
		write(t, name, data)
		for kind := range openings {
			m := openCold(t, kind, name)
			breakPage(t, d, data, 100)
			must(t, m.Prefetch(0, 100*page/lost*lost))
			must(t, m.Prefetch((100*page/lost+1)*lost, -1))
			for _, r := range [][2]int64{{0, -1}, {100 * page, page}, {90 * page, 20 * page}, {101*page - 1, 1}} {
				if err := m.Prefetch(r[0], r[1]); !errors.Is(err, syscall.EIO) {
					t.Errorf("%s: %d bytes at %d: %v", kind, r[1], r[0], err)
				}
			}
			wantPages(t, m, data, 100)
			d.Heal(t)
			must(t, m.Prefetch(0, -1))
			wantPages(t, m, data, -1)
			must(t, m.Close())
		}
	})
}

// A page that was in memory, was dropped, and cannot be read again is a fault in the mapping, as the
// snapshot takes it to be there.
func TestReadFaultLater(t *testing.T) {
	eachDisk(t, func(t *testing.T, d *fusetest.Disk, dir string) {
		name := filepath.Join(dir, "f")
		data := noise(160 * page)
		write(t, name, data)
		for kind := range openings {
			m := openCold(t, kind, name)
			_, err := m.ReadAt(make([]byte, len(data)), 0) // by a system call: nothing gets mapped
			must(t, err)
			f := private(t, dir)
			cool(t, f)
			must(t, f.Close())
			breakPage(t, d, data, 100)
			p := make([]byte, len(data))
			n, err := m.ReadAt(p, 0)
			if n > 100*page || n < 100*page/lost*lost || !errors.Is(err, syscall.EIO) {
				t.Errorf("%s: read %d bytes, %v", kind, n, err)
			}
			wantBytes(t, "what was read", p[:n], data[:100*page])
			wantPages(t, m, data, 100)
			d.Heal(t)
			wantPages(t, m, data, -1)
			must(t, m.Close())
		}
	})
}
