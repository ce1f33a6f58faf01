package snapshot_test

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A file that changes each time while it is copied is given up, and one that changes once is
// copied again, at once rather than when the copy is complete. It is open for writing, so there
// is no lease.
//
//promise:snapshot.ErrUnstable a file that changes during each of ten attempts is ErrUnstable
//promise:snapshot.ErrUnstable a copy starts again as soon as a change of the file is seen
func TestChangesWhileCopied(t *testing.T) {
	systest.NoPauses(t)
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		const size = 8 << 20
		for change, do := range map[string]func(f *os.File) error{
			"overwritten": func(f *os.File) error { _, err := f.WriteAt([]byte("y"), 5); return err },
			"appended to": func(f *os.File) error { _, err := f.WriteAt([]byte("y"), size); return err },
			"shortened":   func(f *os.File) error { return f.Truncate(100) },
			"emptied":     func(f *os.File) error { return f.Truncate(0) },
		} {
			for _, early := range []bool{true, false} {
				write(t, name, noise(1, size))
				f := openFile(t, name, os.O_RDWR)
				var changes, whole int
				c := snapshot.Config{Progress: func(done, total int64) {
					if done == total {
						whole++
					}
					if (early && done < total || done == total) && changes > 0 {
						changes--
						must(t, do(f))
					}
				}}
				changes = 1
				m, err := c.Open(context.Background(), name)
				must(t, err)
				want, err := os.ReadFile(name)
				must(t, err)
				wantContents(t, m, want)
				if m.Method() != snapshot.ComparedCopy {
					t.Error(m.Method())
				}
				must(t, m.Close())
				if change != "overwritten" {
					continue
				}
				changes, whole = 1000, 0
				synctest.Test(t, func(*testing.T) { // whose clock stands still: it would be given up sooner
					_, err = c.Open(context.Background(), name)
				})
				wantError(t, err, snapshot.ErrUnstable, "open "+name+": no consistent copy: the file changed while it was copied")
				// Chunks get larger, the last ones as large as the file.
				if early != (whole < 15) {
					t.Errorf("%s: the end was reached %d times", change, whole)
				}
			}
		}
	})
}

// Holes stay holes, data are found wherever they are, and lengths do not matter.
//
//promise:snapshot.Config.Open a copy leaves out holes and has all data of the file
//promise:snapshot.Mmap.Size Size is the size of the file when it was copied
func TestSparseCopy(t *testing.T) {
	mounttest.EachOf(t, mounttest.Private, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		const piece = 1 << 20
		for _, test := range []struct {
			name string
			size int64
			data []int64 // offsets of pieces
		}{
			{"3 GiB with data at both ends and across 2 GiB", 3<<30 + 1, []int64{0, 2<<30 - piece/2, 3<<30 - piece + 1}},
			{"10 GiB with 64 MiB", 10 << 30, steps(64, 10<<30/64)},
			{"all hole", 5 << 30, nil},
			{"data at the end of a page", 3 << 20, []int64{4096*3 + 17}},
		} {
			t.Run(test.name, func(t *testing.T) {
				needAddresses(t, test.size)
				name := join(dir, "f")
				f, err := os.Create(name)
				must(t, err)
				defer f.Close()
				must(t, f.Truncate(test.size))
				for i, off := range test.data {
					_, err := f.WriteAt(noise(uint64(i), piece), off)
					must(t, err)
				}
				must(t, syncFile(name))
				used := usedBytes(t, dir)
				m := open(t, name)
				if m.Size() != test.size {
					t.Fatal(m.Size())
				}
				for i, off := range test.data {
					must(t, m.View(off, piece, func(b []byte) error {
						wantBytes(t, "data", b, noise(uint64(i), piece))
						return nil
					}))
				}
				must(t, m.View(4096, 4096, func(b []byte) error { // a hole, or data again
					want := make([]byte, 4096)
					if len(test.data) > 0 && test.data[0] == 0 {
						want = noise(0, piece)[4096:8192]
					}
					wantBytes(t, "start", b, want)
					return nil
				}))
				must(t, syncFile(name))
				limit := int64(len(test.data)*piece)*5/4 + 1<<20
				if grown := usedBytes(t, dir) - used; grown > limit {
					t.Errorf("the copy takes %d bytes, want at most %d", grown, limit)
				}
				// And back.
				w := openMut(t, name)
				must(t, w.Commit())
				must(t, w.Close())
				fi, err := os.Stat(name)
				must(t, err)
				if blocks := fi.Sys().(*syscall.Stat_t).Blocks * 512; fi.Size() != test.size || blocks > limit {
					t.Errorf("after a commit: size %d, %d bytes allocated", fi.Size(), blocks)
				}
				must(t, os.Remove(name))
			})
		}
	})
}

func steps(n int, step int64) (offs []int64) {
	for i := range n {
		offs = append(offs, int64(i)*step)
	}
	return offs
}

// The copy goes on by other means where copy_file_range cannot, and only there.
func TestCopyWithoutCopyFileRange(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		data := noise(1, 3<<20+17)
		write(t, name, data)
		for _, errno := range []syscall.Errno{syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.EIO, syscall.EFBIG, syscall.ENOMEM} {
			undo := systest.Intercept(t, func(call string) error {
				if call == "copy_file_range" {
					return errno
				}
				return nil
			})
			m, err := snapshot.Open(name)
			undo()
			if errno == syscall.EFBIG || errno == syscall.ENOMEM {
				wantError(t, err, errno, "open "+name+": "+errno.Error())
				continue
			}
			must(t, err)
			wantContents(t, m, data)
			must(t, m.Close())
		}
	})
}

// Progress is told of every byte, and a context ends the copy between two chunks.
//
//promise:snapshot.Config.Progress all bytes are counted, on the goroutine that opens the file
func TestProgressAndCancel(t *testing.T) {
	mounttest.EachOf(t, copying, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		const size = 100<<20 + 5
		write(t, name, noise(1, size))
		var last int64
		c := snapshot.Config{Progress: func(done, total int64) {
			if done < last || total != size {
				t.Errorf("%d of %d after %d", done, total, last)
			}
			last = done
		}}
		m, err := c.OpenMut(context.Background(), name)
		must(t, err)
		if last != size {
			t.Errorf("%d of %d", last, size)
		}
		last = 0
		must(t, m.Commit())
		if last != size {
			t.Errorf("commit: %d of %d", last, size)
		}
		must(t, m.Close())

		ctx, cancel := context.WithCancel(context.Background())
		steps := 0
		c.Progress = func(done, total int64) { steps++; cancel() }
		_, err = c.Open(ctx, name)
		wantError(t, err, context.Canceled, "open "+name+": context canceled")
		if steps != 1 {
			t.Errorf("%d more steps", steps-1)
		}
		wantNames(t, dir, "f")
	})
}

// A full disk in the middle of a copy that can lie nowhere else is an error, and nothing is left of
// the copy.
//
//promise:snapshot.Config.OpenMut a full disk is an error, and nothing is left of the copy
func TestFullDiskWhileCopying(t *testing.T) {
	mounttest.EachKind(t, copying, func(t *testing.T, kind *mounttest.Kind) {
		mounttest.Leaks(t)
		dir := kind.Fresh(t, 48<<20)
		name := join(dir, "f")
		data := noise(1, 30<<20)
		write(t, name, data)
		_, err := snapshot.OpenMut(name)
		wantError(t, err, syscall.ENOSPC, "open "+name+": copy_file_range: no space left on device")
		wantNames(t, dir, "f")
		wantFile(t, name, data)
		must(t, os.Truncate(name, 1<<20))
		wantContents(t, openMut(t, name), data[:1<<20])
	})
}
