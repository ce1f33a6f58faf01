package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// A comparison is one line of the table: medians of what package os and this module took for
// the same.
type comparison struct {
	what      string
	ordinary  time.Duration
	ours      time.Duration
	runs      int
	bytesEach int64 // if not 0, shown as throughput
}

// limits say how often to measure: at least and at most so many times, and in between until the
// time is up.
type limits struct {
	least, most int
	budget      time.Duration
}

// compare takes both times in turn, so that whatever else happens on the machine happens to
// both, and adds the medians to the report.
func (r *report) compare(ctx context.Context, what string, l limits, bytesEach int64,
	ordinary, ours func() (time.Duration, error)) error {
	var a, b []time.Duration
	begin := time.Now()
	for len(a) < l.least || len(a) < l.most && time.Since(begin) < l.budget {
		x, err := ordinary()
		if err != nil {
			return err
		}
		y, err := ours()
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		a, b = append(a, x), append(b, y)
	}
	r.rows = append(r.rows, comparison{what, median(a), median(b), len(a), bytesEach})
	return nil
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return (d[(len(d)-1)/2] + d[len(d)/2]) / 2
}

// smallSize is that of the small file.
const smallSize = 16 << 10

// compareOpen compares opening and closing a file with taking and closing a snapshot of it.
func compareOpen(ctx context.Context, c config, r *report, name string) error {
	fi, err := os.Stat(name)
	if err != nil {
		return err
	}
	return r.compare(ctx, "open and close, "+human(fi.Size()), limits{5, 301, c.budget / 4}, 0,
		func() (time.Duration, error) {
			begin := time.Now()
			f, err := os.Open(name)
			if err != nil {
				return 0, err
			}
			err = f.Close()
			return time.Since(begin), err
		},
		func() (time.Duration, error) {
			begin := time.Now()
			m, err := snapshot.Config{}.Open(ctx, name) // Open, but Ctrl-C ends it where the data are copied
			if err != nil {
				return 0, err
			}
			err = m.Close()
			return time.Since(begin), err
		})
}

const (
	largeRead = 1 << 20
	smallRead = 4 << 10

	// In one measurement. They are short, so that what else the machine does hits few of many.
	largeReads = 16
	smallReads = 2000
)

// compareReads compares reading a file with reading a snapshot of it, both in memory.
func compareReads(ctx context.Context, c config, r *report, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := snapshot.Config{}.Open(ctx, name)
	if err != nil {
		return err
	}
	defer m.Close()

	// A snapshot made by reflink begins with nothing in memory; Prefetch reads it in one go,
	// without holding other goroutines up. Elsewhere it is the copy just made.
	if err := m.Prefetch(0, -1); err != nil {
		return err
	}
	if err := copyBytes(ctx, io.Discard, f, -1, nil); err != nil {
		return err
	}

	next := int64(0)
	inSequence := func() []int64 {
		offsets := make([]int64, largeReads)
		for i := range offsets {
			offsets[i] = next * largeRead
			next = (next + 1) % (c.size / largeRead)
		}
		return offsets
	}
	atRandom := func() []int64 {
		offsets := make([]int64, smallReads)
		for i := range offsets {
			offsets[i] = rand.Int64N(c.size/smallRead) * smallRead
		}
		return offsets
	}
	return errors.Join(
		compareReading(ctx, c, r, "read in sequence, 1 MiB at a time", f, m, largeRead, inSequence),
		compareReading(ctx, c, r, "read at random, 4 KiB at a time", f, m, smallRead, atRandom))
}

// compareReading compares reading blocks of a and b at the same offsets, always others.
func compareReading(ctx context.Context, c config, r *report, what string, a, b io.ReaderAt, block int, choose func() []int64) error {
	buf := make([]byte, block)
	offsets := choose()
	read := func(src io.ReaderAt) (time.Duration, error) {
		begin := time.Now()
		for _, off := range offsets {
			if _, err := src.ReadAt(buf, off); err != nil {
				return 0, err
			}
		}
		return time.Since(begin), nil
	}
	return r.compare(ctx, what, limits{3, 301, c.budget / 4}, int64(block*len(offsets)),
		func() (time.Duration, error) { return read(a) },
		func() (time.Duration, error) {
			defer func() { offsets = choose() }()
			return read(b)
		})
}
