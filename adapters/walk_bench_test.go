package adapters_test

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// versus runs both in turn, in changing order, and reports the median of the first over that of
// the second: how many times as fast the second is.
func versus(b *testing.B, theirs, ours func()) {
	var t, o []time.Duration
	for i := 0; b.Loop(); i++ {
		for k := range 2 {
			start := time.Now()
			if (i+k)%2 == 0 {
				theirs()
				t = append(t, time.Since(start))
			} else {
				ours()
				o = append(o, time.Since(start))
			}
		}
	}
	slices.Sort(t)
	slices.Sort(o)
	b.ReportMetric(float64(t[len(t)/2].Microseconds()), "os-µs/op")
	b.ReportMetric(float64(o[len(o)/2].Microseconds()), "ours-µs/op")
	b.ReportMetric(float64(t[len(t)/2])/float64(o[len(o)/2]), "speed/os")
}

// archives makes a zip and a tar of Go's source tree, once for each run, in dir.
func archives(b *testing.B, dir string) (zipName, tarName string) {
	zipName, tarName = filepath.Join(dir, "src.zip"), filepath.Join(dir, "src.tar")
	src := os.DirFS(filepath.Join(runtime.GOROOT(), "src"))
	for name, add := range map[string]func(w io.Writer) error{
		zipName: func(w io.Writer) error {
			z := zip.NewWriter(w)
			return firstError(z.AddFS(src), z.Close())
		},
		tarName: func(w io.Writer) error {
			t := tar.NewWriter(w)
			return firstError(t.AddFS(src), t.Close())
		},
	} {
		f, err := os.Create(name)
		if err != nil {
			b.Fatal(err)
		}
		w := bufio.NewWriterSize(f, 1<<20)
		if err := firstError(add(w), w.Flush(), f.Sync(), f.Close()); err != nil {
			b.Skip(err) // this Go has no source tree, perhaps
		}
	}
	return zipName, tarName
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkWalk reads all entries of a zip and a tar of Go's source tree that are in memory, by
// *os.File and by a snapshot in turn. "list" reads the central directory of the zip, or the
// headers of the tar, alone.
func BenchmarkWalk(b *testing.B) {
	for _, kind := range []string{"xfs", "btrfs", "ext4", "tmpfs"} {
		b.Run("fs="+kind, func(b *testing.B) {
			zipName, tarName := archives(b, mounttest.Dir(b, kind))
			walkZip := func(r io.ReaderAt, size int64, contents bool) {
				z, err := zip.NewReader(r, size)
				if err != nil {
					b.Fatal(err)
				}
				for _, f := range z.File {
					if !contents {
						if _, err := f.DataOffset(); err != nil {
							b.Fatal(err)
						}
						continue
					}
					c, err := f.Open()
					if err != nil {
						b.Fatal(err)
					}
					if _, err := io.Copy(io.Discard, c); err != nil {
						b.Fatal(err)
					}
					_ = c.Close()
				}
			}
			walkTar := func(r io.ReadSeeker, contents bool) {
				_, _ = r.Seek(0, io.SeekStart)
				for t := tar.NewReader(r); ; {
					if _, err := t.Next(); err == io.EOF {
						return
					} else if err != nil {
						b.Fatal(err)
					}
					if contents {
						if _, err := io.Copy(io.Discard, t); err != nil {
							b.Fatal(err)
						}
					}
				}
			}
			zf, tf := open(b, zipName), open(b, tarName)
			st, err := zf.Stat()
			if err != nil {
				b.Fatal(err)
			}
			zm, tm := openMap(b, zipName), openMap(b, tarName)
			tr := adapters.NewReader(tm)
			for _, contents := range []bool{true, false} {
				what := map[bool]string{true: "read", false: "list"}[contents]
				theirs, ours := func() { walkZip(zf, st.Size(), contents) }, func() { walkZip(zm, st.Size(), contents) }
				b.Run("format=zip/do="+what, func(b *testing.B) { ours(); versus(b, theirs, ours) })
				theirs, ours = func() { walkTar(tf, contents) }, func() { walkTar(tr, contents) }
				b.Run("format=tar/do="+what, func(b *testing.B) { ours(); versus(b, theirs, ours) })
			}
		})
	}
}

// BenchmarkAppend appends to a new file in small writes, by *os.File and by File in turn.
func BenchmarkAppend(b *testing.B) {
	for _, kind := range []string{"xfs", "btrfs", "ext4", "tmpfs"} {
		dir := mounttest.Dir(b, kind)
		for _, x := range []struct {
			name        string
			size, total int
		}{{"100B", 100, 16 << 20}, {"4KiB", 4096, 256 << 20}, {"64KiB", 64 << 10, 256 << 20}} {
			p := random(x.size)
			b.Run("fs="+kind+"/write="+x.name, func(b *testing.B) {
				write := func(w io.WriteCloser) {
					for done := 0; done < x.total; done += len(p) {
						if _, err := w.Write(p); err != nil {
							b.Fatal(err)
						}
					}
					_ = w.Close() // which frees it
				}
				versus(b, func() {
					name := filepath.Join(dir, "os")
					f, err := os.Create(name)
					if err != nil {
						b.Fatal(err)
					}
					_ = os.Remove(name)
					write(f)
				}, func() {
					m, err := snapshot.Create(filepath.Join(dir, "f"))
					supported(b, err)
					write(adapters.NewFile(m))
				})
			})
		}
	}
}
