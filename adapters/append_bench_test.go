package adapters_test

import (
	"io"
	"os"
	"path/filepath"
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

// BenchmarkAppend appends to a new file in small writes, by *os.File and by File in turn.
func BenchmarkAppend(b *testing.B) {
	for _, kind := range mounttest.Kinds(mounttest.Known) {
		dir := kind.Dir(b)
		for _, x := range []struct {
			name        string
			size, total int
		}{{"100B", 100, 16 << 20}, {"1000B", 1000, 64 << 20}, {"4KiB", 4096, 256 << 20}, {"64KiB", 64 << 10, 256 << 20}} {
			p := random(x.size)
			b.Run("fs="+kind.String()+"/write="+x.name, func(b *testing.B) {
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
