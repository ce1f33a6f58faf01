// Package interleave compares ways of doing the same by doing them in turn. Whatever else the
// machine does meanwhile then happens to all of them, and the ratio of their medians means
// something where the times do not.
package interleave

import (
	"slices"
	"testing"
	"time"
)

const (
	// turn is how long a turn takes at least, so that the clock, some 50 ns, does not count.
	turn = 500 * time.Microsecond

	// leastRounds is how many turns each way has at least, however slow all are.
	leastRounds = 5
)

// A Way is one of the things compared.
type Way struct {
	Name string

	// Before, if not nil, comes ahead of every turn and does not count. A turn is then of as
	// many operations as Comparison.Batch says; else it is of as many as take some time.
	Before func()

	// Do does the work n times.
	Do func(n int)
}

// Once makes a way of what does the work once.
func Once(name string, f func()) Way {
	return Way{Name: name, Do: func(n int) {
		for range n {
			f()
		}
	}}
}

// A Comparison is of several ways. The last one is ours.
type Comparison struct {
	Bytes int64 // how many one operation moves, if that is of interest
	Batch int   // see Way.Before; 0 means 1
	Ways  []Way
}

// A Result holds the median and the least time of an operation of each way, in nanoseconds.
type Result struct {
	ways           []Way
	medians, least []float64
}

// Ns returns the median of a way, which must be there.
func (r Result) Ns(name string) float64 { return r.medians[r.index(name)] }

// Least returns the least time of a way, which must be there. Other programs make a turn longer, and
// never shorter.
func (r Result) Least(name string) float64 { return r.least[r.index(name)] }

func (r Result) index(name string) int {
	return slices.IndexFunc(r.ways, func(w Way) bool { return w.Name == name })
}

// Ratio returns how many times as long the first way takes as the second.
func (r Result) Ratio(a, b string) float64 { return r.Ns(a) / r.Ns(b) }

// Run lets every way have a turn in each round, beginning with another one each time.
func (c Comparison) Run(rounds int) Result {
	m := c.begin()
	for range rounds {
		m.round()
	}
	return m.result()
}

// Bench runs rounds until the benchmark has run for long enough. It reports, for each way X, the
// metrics X-ns/op and, if there are Bytes, X-MB/s; for each but ours the ratio X/ours, which is
// how many times as long X takes; and the allocations of ours. There is no ns/op, which would
// be that of a round.
func (c Comparison) Bench(b *testing.B) {
	m := c.begin()
	for b.Loop() {
		m.round()
	}
	for len(m.times[0]) < leastRounds {
		m.round()
	}
	c.report(b, m.result())
}

func (c Comparison) report(b *testing.B, r Result) {
	ours := c.Ways[len(c.Ways)-1]
	b.ReportMetric(0, "ns/op")
	for _, w := range c.Ways {
		ns := r.Ns(w.Name)
		b.ReportMetric(ns, w.Name+"-ns/op")
		if c.Bytes > 0 {
			b.ReportMetric(float64(c.Bytes)*1e3/ns, w.Name+"-MB/s")
		}
		if w.Name != ours.Name {
			b.ReportMetric(r.Ratio(w.Name, ours.Name), w.Name+"/"+ours.Name)
		}
	}
	if ours.Before == nil {
		// What Do allocates to begin with is not the operation's.
		allocs := func(n int) float64 { return testing.AllocsPerRun(1, func() { ours.Do(n) }) }
		b.ReportMetric(max(0, allocs(3)-allocs(1))/2, ours.Name+"-allocs/op")
	}
}

// A measurement is a comparison under way.
type measurement struct {
	ways  []Way
	ops   []int       // in a turn, of each way
	times [][]float64 // of an operation, of each way
	first int         // who begins the next round
}

// begin finds out how many operations make a turn, which is a warm-up as well.
func (c Comparison) begin() *measurement {
	m := &measurement{ways: c.Ways, times: make([][]float64, len(c.Ways))}
	for _, w := range c.Ways {
		n := max(c.Batch, 1)
		if w.Before == nil {
			// One try is not enough: the first operation can take long, and another program can
			// take the processor. A turn of too few operations would measure the clock.
			for n = 1; n < 1<<30; n *= 2 {
				if min(w.took(n), w.took(n)) > turn {
					break
				}
			}
		}
		m.ops = append(m.ops, n)
	}
	return m
}

// took does the work n times, and returns how long that took.
func (w Way) took(n int) time.Duration {
	start := time.Now()
	w.Do(n)
	return time.Since(start)
}

func (m *measurement) round() {
	for i := range m.ways {
		i = (i + m.first) % len(m.ways)
		w := m.ways[i]
		if w.Before != nil {
			w.Before()
		}
		m.times[i] = append(m.times[i], float64(w.took(m.ops[i]))/float64(m.ops[i]))
	}
	m.first++
}

func (m *measurement) result() Result {
	r := Result{ways: m.ways}
	for _, times := range m.times {
		r.medians = append(r.medians, Median(times))
		r.least = append(r.least, slices.Min(times))
	}
	return r
}

// Median returns the median of x, which it sorts.
func Median(x []float64) float64 {
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}
