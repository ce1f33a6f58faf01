package snapshot_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// appendTo appends pieces of n bytes until all of data is there.
func appendTo(t *testing.T, m *snapshot.MmapMut, data []byte, n int) {
	t.Helper()
	for off := m.Size(); off < int64(len(data)); off += int64(n) {
		if _, err := m.WriteGrow(data[off:min(off+int64(n), int64(len(data)))], off); err != nil {
			t.Fatal(err)
		}
	}
}

func wantGathered(t *testing.T, m *snapshot.MmapMut, want int) {
	t.Helper()
	if got := snapshot.Gathered(m); got != want {
		t.Fatalf("%d bytes are gathered, not %d, of %d", got, want, m.Size())
	}
}

// What is appended in pieces of up to 32 KiB is gathered, up to the next multiple of 128 KiB of
// the file; only what is larger is not. Who reads cannot tell.
func TestAppendGathers(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := join(dir, "f")
		const most = 128 << 10
		for _, n := range []int{1, 100, 1000, 4096, 5000, 32 << 10, 32<<10 + 1, 200_000} {
			for _, start := range []int{0, 10, 5000, most - 1, most} {
				data := noise(uint64(n), start+n*min(1000, 1+3*most/n))
				write(t, name, data[:start])
				m := openMut(t, name)
				for size := start + n; size <= len(data); size += n {
					appendTo(t, m, data[:size], n)
					if n <= 32<<10 {
						wantGathered(t, m, size-max(start, (size-1)/most*most))
					} else {
						wantGathered(t, m, 0)
					}
				}
				got := make([]byte, len(data))
				_, err := m.ReadAt(got, 0)
				must(t, err)
				wantBytes(t, "ReadAt", got, data)
				must(t, m.CommitAndClose())
				wantFile(t, name, data)
			}
		}
	})
}

// ReadAt and WriteAt work on what is gathered, and leave it there; a Resize to less may cut it off.
// All others find it in the private file.
func TestGathered(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		const base, end = 5000, 9000
		stay := map[string]func(m *snapshot.MmapMut, want []byte) []byte{
			"ReadAt": func(m *snapshot.MmapMut, want []byte) []byte {
				for range 200 {
					off, n := rand.IntN(end+100), rand.IntN(end)
					p := make([]byte, n)
					got, err := m.ReadAt(p, int64(off))
					fits := max(0, min(n, end-off))
					if got != fits || (err == io.EOF) != (fits < n) || err != nil && err != io.EOF { //nolint:errorlint // io.EOF itself is promised
						t.Errorf("ReadAt(%d, %d): %d, %v", n, off, got, err)
					}
					wantBytes(t, "ReadAt", p[:fits], want[min(off, end):][:fits])
				}
				return want
			},
			"WriteAt": func(m *snapshot.MmapMut, want []byte) []byte {
				for i := range 200 {
					off, p := rand.IntN(end+100), noise(uint64(i), rand.IntN(end))
					n, err := m.WriteAt(p, int64(off))
					fits := max(0, min(len(p), end-off))
					if n != fits || (err != nil) != (fits < len(p)) || err != nil && !errors.Is(err, io.ErrShortWrite) {
						t.Errorf("WriteAt(%d, %d): %d, %v", len(p), off, n, err)
					}
					copy(want[min(off, end):], p)
				}
				return want
			},
			"Resident": func(m *snapshot.MmapMut, want []byte) []byte {
				for _, off := range []int64{base, base + 1, end - 1, end} {
					if !m.Resident(off, -1) {
						t.Errorf("from %d on: not in memory", off)
					}
				}
				return want
			},
		}
		for _, cut := range []int{end, end - 1, base + 1, base, base - 1, 4096, 1, 0} {
			stay["Resize to "+fmt.Sprint(cut)] = func(m *snapshot.MmapMut, want []byte) []byte {
				must(t, m.Resize(int64(cut)))
				return want[:cut]
			}
		}
		goes := map[string]func(m *snapshot.MmapMut) error{
			"View":           func(m *snapshot.MmapMut) error { return m.View(base, 1, func([]byte) error { return nil }) },
			"View to end":    func(m *snapshot.MmapMut) error { return m.View(0, -1, func([]byte) error { return nil }) },
			"Prefetch":       func(m *snapshot.MmapMut) error { return m.Prefetch(end-1, 1) },
			"Bytes":          func(m *snapshot.MmapMut) error { _ = m.Bytes(); return nil },
			"Resize to more": func(m *snapshot.MmapMut) error { return errors.Join(m.Resize(end+1), m.Resize(end)) },
			"a large append": func(m *snapshot.MmapMut) error {
				_, err := m.WriteGrow(make([]byte, 100_000), end)
				return errors.Join(err, m.Resize(end))
			},
			"a write across the end": func(m *snapshot.MmapMut) error {
				p := []byte{0, 1}
				_, err := m.ReadAt(p[:1], end-1)
				_, werr := m.WriteGrow(p, end-1)
				return errors.Join(err, werr, m.Resize(end))
			},
			"a write behind the end": func(m *snapshot.MmapMut) error {
				_, err := m.WriteGrow([]byte{1}, end+1)
				return errors.Join(err, m.Resize(end))
			},
			"Commit":   (*snapshot.MmapMut).Commit,
			"CommitTo": func(m *snapshot.MmapMut) error { return m.CommitTo(join(dir, "other")) },
			"Link": func(m *snapshot.MmapMut) error {
				_ = os.Remove(join(dir, "other"))
				return m.Link(join(dir, "other"))
			},
		}
		appended := func(f func(m *snapshot.MmapMut, want []byte)) {
			want := noise(1, end)
			write(t, name, want[:base])
			m := openMut(t, name)
			appendTo(t, m, want, 1000)
			wantGathered(t, m, end-base)
			f(m, want)
			_ = m.Close()
		}
		for what, do := range stay {
			appended(func(m *snapshot.MmapMut, want []byte) {
				want = do(m, want)
				wantGathered(t, m, max(0, len(want)-base))
				wantContents(t, m, want)
				want = append(want, noise(2, 3000)...)
				appendTo(t, m, want, 3000)
				wantContents(t, m, want)
				must(t, m.Resize(20_000))
				wantContents(t, m, append(want, make([]byte, 20_000-len(want))...))
				if t.Failed() {
					t.Fatal(what)
				}
			})
		}
		for what, do := range goes {
			appended(func(m *snapshot.MmapMut, want []byte) {
				must(t, m.View(0, base, func([]byte) error { return nil }))
				must(t, m.Prefetch(0, base))
				wantGathered(t, m, end-base) // what lies before it does not matter
				must(t, do(m))
				wantGathered(t, m, 0)
				wantContents(t, m, want)
				if t.Failed() {
					t.Fatal(what)
				}
			})
		}
		appended(func(m *snapshot.MmapMut, want []byte) {
			must(t, m.CommitAndClose())
			wantFile(t, name, want)
		})
		appended(func(m *snapshot.MmapMut, want []byte) {
			must(t, m.Resize(8192)) // so that writing it would take no other call before
			wantGathered(t, m, 8192-base)
			must(t, m.Close())
			_, err := m.WriteGrow([]byte{1}, 8192)
			for op, err := range map[string]error{
				"view": goes["View"](m), "prefetch": goes["Prefetch"](m), "resize": m.Resize(end + 1), "write": err, "commit": m.Commit(),
			} {
				wantError(t, err, fs.ErrClosed, op+" "+name+": file already closed")
			}
			if m.Bytes() != nil {
				t.Error("Bytes are there after Close")
			}
		})
	})
}

// A commit brings to the disk what was gathered before it makes others wait, and has what is appended
// meanwhile.
func TestCommitGathered(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		name, other := join(dir, "f"), join(dir, "other")
		write(t, name, nil)
		for _, c := range []struct {
			what    string
			inPlace bool
			commit  func(m *snapshot.MmapMut) error
			file    string
		}{
			{"Commit", false, (*snapshot.MmapMut).Commit, name},
			{"Commit, in place", reflinks(dir), (*snapshot.MmapMut).Commit, name},
			{"CommitTo", false, func(m *snapshot.MmapMut) error { return m.CommitTo(other) }, other},
		} {
			m, err := snapshot.Config{InPlace: c.inPlace}.OpenMut(t.Context(), name)
			must(t, err)
			closeLater(t, m)
			data := append(byReadAt(t, m), noise(1, 20_000)...)
			appendTo(t, m, data, 1000)
			during := 0
			undo := systest.Intercept(t, func(call string) error {
				if call == "writeback" {
					during++
					wantGathered(t, m, 0)
					data = append(data, noise(2, 3000)...)
					appendTo(t, m, data, 1000)
					wantGathered(t, m, 3000)
				}
				return nil
			})
			must(t, c.commit(m))
			undo()
			if during != 1 {
				t.Errorf("%s: looked %d times", c.what, during)
			}
			wantFile(t, c.file, data)
		}
	})
}
