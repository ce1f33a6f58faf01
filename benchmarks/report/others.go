package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A cell is what became of a peer in a scenario.
type cell struct{ scenario, peer, saw string }

func (r *report) parseCells(data []byte) error {
	for line := range strings.Lines(string(data)) {
		if _, rest, ok := strings.Cut(line, "cell: "); ok {
			f := strings.Split(strings.TrimSpace(rest), " | ")
			if len(f) != 3 {
				return fmt.Errorf("not three fields: %q", line)
			}
			r.cells = append(r.cells, cell{f[0], f[1], f[2]})
		}
	}
	return nil
}

// A stall is how a program got on while its readers waited for a slow disk.
type stall struct {
	fs, way string
	work    float64 // units done in a second by a goroutine that does not read
	share   float64 // of that beside os.File
	late    time.Duration
	latest  time.Duration
}

var (
	// testRun says which test the lines below are of, and stallRun which filesystem: it was a test.
	testRun   = regexp.MustCompile(`^=== (?:RUN|NAME) +(\S+)`)
	stallRun  = regexp.MustCompile(`^(?:--- BENCH: Benchmark|=== RUN +Test)Stall/(\w+)`)
	stallLine = regexp.MustCompile(`(\S+) +(\d+) units/s, +\d+ reads/s, timers late by (\S+), at most (\S+): ([\d.]+) of the work`)
)

// parseStalls reads what BenchmarkStall logs.
func (r *report) parseStalls(data []byte) error {
	fs := ""
	for line := range strings.Lines(string(data)) {
		if m := stallRun.FindStringSubmatch(line); m != nil {
			fs = m[1]
		}
		m := stallLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		s := stall{fs: fs, way: m[1]}
		var err [4]error
		s.work, err[0] = strconv.ParseFloat(m[2], 64)
		s.late, err[1] = time.ParseDuration(m[3])
		s.latest, err[2] = time.ParseDuration(m[4])
		s.share, err[3] = strconv.ParseFloat(m[5], 64)
		for _, err := range err {
			if err != nil {
				return err
			}
		}
		r.stalls = append(r.stalls, s)
	}
	return nil
}

// A crash is how many crashes of one way to commit left the file whole, and how many did not.
type crash struct {
	way       string
	good, bad int
	control   bool // a promise broken on purpose
}

var (
	crashTest  = regexp.MustCompile(`^TestCrash(Control)?(Images|Shutdown|Kill)/(\w+)/?(\w*)`)
	crashTally = regexp.MustCompile(`(\d+) crashes in \d+ generations: \d+ left a temporary name(.*)`)
	crashBad   = regexp.MustCompile(`, (\d+) `)
)

// parseCrash reads what go test -v printed of the crash tests.
func (r *report) parseCrash(data []byte) error {
	name, at := "", map[string]int{}
	for line := range strings.Lines(string(data)) {
		if m := testRun.FindStringSubmatch(line); m != nil {
			name = m[1]
		}
		test, tally := crashTest.FindStringSubmatch(name), crashTally.FindStringSubmatch(line)
		if test == nil || tally == nil {
			continue
		}
		c := crash{way: test[4], control: test[1] != ""}
		switch {
		case c.control && test[2] == "Kill":
			c.way = "InPlace, killed"
		case c.control:
			c.way = map[string]string{"data": "no fsync of the data", "names": "no fsync of the directory"}[c.way]
		}
		n, _ := strconv.Atoi(tally[1])
		for _, m := range crashBad.FindAllStringSubmatch(tally[2], -1) {
			bad, _ := strconv.Atoi(m[1])
			c.bad += bad
		}
		c.bad = min(c.bad, n) // one crash can do two kinds of damage
		c.good = n - c.bad
		if i, ok := at[c.way]; ok {
			r.crash[i].good += c.good
			r.crash[i].bad += c.bad
			continue
		}
		at[c.way] = len(r.crash)
		r.crash = append(r.crash, c)
	}
	return nil
}
