package external

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/internal/interleave"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

const (
	stallSize    = 64 << 20 // far more pages than are read in one go
	stallDelay   = 4 * time.Millisecond
	stallReaders = 8 // together, 2000 reads a second of a good os.File
	stallWindow  = 150 * time.Millisecond
)

// A pace is how a program got on while others waited for the disk.
type pace struct {
	work, reads float64       // a second
	late        time.Duration // of a timer, the median
	latest      time.Duration
}

func (p pace) String() string {
	return fmt.Sprintf("%7.0f units/s, %5.0f reads/s, timers late by %v, at most %v",
		p.work, p.reads, p.late.Round(time.Microsecond), p.latest.Round(10*time.Microsecond))
}

// measure has several goroutines read pages at random, one work, and one sleep.
func measure(b *testing.B, r io.ReaderAt) pace {
	b.Helper()
	var (
		stop        atomic.Bool
		work, reads atomic.Int64
		late        []time.Duration
		running     sync.WaitGroup
	)
	for range stallReaders {
		running.Go(func() {
			p := make([]byte, page)
			for !stop.Load() {
				if _, err := r.ReadAt(p, rand.Int64N(stallSize/page)*page); err != nil {
					b.Error(err)
					return
				}
				reads.Add(1)
			}
		})
	}
	running.Go(func() {
		for x := uint64(1); !stop.Load(); work.Add(int64(x>>63 | 1)) {
			for range 10000 {
				x = x*6364136223846793005 + 1442695040888963407
			}
		}
	})
	running.Go(func() {
		for !stop.Load() {
			start := time.Now()
			time.Sleep(time.Millisecond)
			late = append(late, time.Since(start)-time.Millisecond)
		}
	})
	start := time.Now()
	time.Sleep(stallWindow)
	n, k, took := work.Load(), reads.Load(), time.Since(start).Seconds()
	stop.Store(true)
	running.Wait()
	slices.Sort(late)
	return pace{float64(n) / took, float64(k) / took, late[len(late)/2], late[len(late)-1]}
}

// median returns the median of each figure.
func median(all []pace) pace {
	of := func(f func(p pace) float64) float64 {
		v := make([]float64, 0, len(all))
		for _, p := range all {
			v = append(v, f(p))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return pace{
		of(func(p pace) float64 { return p.work }), of(func(p pace) float64 { return p.reads }),
		time.Duration(of(func(p pace) float64 { return float64(p.late) })),
		time.Duration(of(func(p pace) float64 { return float64(p.latest) })),
	}
}

// BenchmarkStall has goroutines read cold pages from a slow disk, and logs what others get done
// meanwhile: beside os.File, beside snapshots, and beside a mapping that is touched as it is. It
// has two processors.
//
//promise:snapshot.Mmap.ReadAt cold pages leave the scheduler to other goroutines
func BenchmarkStall(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	for _, kind := range mounttest.Kinds(mounttest.Reflinks) {
		b.Run(kind.String(), func(b *testing.B) {
			d := fusetest.NewDisk(b, diskSize)
			hurry(b, os.Getpid(), d.Pid())
			name := filepath.Join(d.Mount(b, kind), "f")
			write(b, name, noise(stallSize))
			d.Delay(b, stallDelay)
			paces := map[string][]pace{}
			for b.Loop() {
				stalls(b, name, paces)
			}
			report(b, paces)
		})
	}
}

// stalls measures all ways in turn, and adds that to paces.
func stalls(b *testing.B, name string, paces map[string][]pace) {
	b.Helper()
	for _, w := range rand.Perm(len(coldWays)) {
		way := coldWays[w]
		r, closeIt := way.open(b, name)
		runtime.GC() // not in the middle
		paces[way.name] = append(paces[way.name], measure(b, r))
		must(b, closeIt())
	}
}

// report logs the medians of each way, in the form that benchmarks/report reads.
func report(b *testing.B, paces map[string][]pace) {
	for _, way := range coldWays {
		var shares []float64 // in each round: what else the machine does often lasts longer than one
		for i, p := range paces[way.name] {
			shares = append(shares, p.work/paces["os.File"][i].work)
		}
		b.Logf("%-8s %v: %.2f of the work beside os.File",
			way.name, median(paces[way.name]), interleave.Median(shares))
	}
}
