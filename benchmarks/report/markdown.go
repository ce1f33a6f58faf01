package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/perf/benchunit"
)

// markdown returns the report; shown are the charts that there are.
func (r *report) markdown(shown []chart) []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, `# Measured

Medians with their 95 % confidence intervals (benchmath's, of the distribution of medians of
whole runs; it takes six runs, else it is ∞). What a row compares was measured in turn in one
run. A/B is how many times as long A takes as B: above 1, B is faster. Quote ratios, not times.

Written by the command below; do not edit. Raw output: benchmarks.txt (for benchstat),
scenarios.txt, stall.txt, crash.txt.

`)
	r.writeMachine(&b)
	r.writeBars(&b)
	for _, c := range shown {
		fmt.Fprintf(&b, "## %s\n\n![%s](%s)\n\n%s\n\n", c.title, c.title, c.file, c.note)
	}
	r.writeCells(&b)
	r.writeStalls(&b)
	r.writeCrash(&b)
	r.writeTables(&b)
	return b.Bytes()
}

func (r *report) writeMachine(b *bytes.Buffer) {
	fmt.Fprintf(b, "## Where\n\n| | |\n|---|---|\n")
	for _, c := range r.config {
		if c.File && c.Key != "pkg" {
			fmt.Fprintf(b, "| %s | %s |\n", c.Key, strings.TrimSpace(string(c.Value)))
		}
	}
	fmt.Fprintf(b, "\nEach command, run from the top of the repository:\n\n")
	var seen []string
	for _, s := range (options{count: 1, quick: r.quick()}).steps() {
		if line := s.String(); !slices.Contains(seen, line) {
			fmt.Fprintf(b, "    %s\n", line)
			seen = append(seen, line)
		}
	}
	fmt.Fprintln(b)
}

// quick reports whether the raw output is of a quick run.
func (r *report) quick() bool {
	for _, c := range r.config {
		if c.Key == "command" && strings.Contains(string(c.Value), "-quick") {
			return true
		}
	}
	return false
}

func (r *report) writeBars(b *bytes.Buffer) {
	fmt.Fprintf(b, "## Where it must stand\n\nOf all rows that apply, the worst.\n\n")
	if r.quick() {
		fmt.Fprintf(b, "This was a quick run, of a few rounds each: it shows that all works, not how fast it is.\n\n")
	}
	fmt.Fprintf(b, "| what | bar | measured | |\n|---|---|---|---|\n")
	for _, x := range r.bars() {
		switch {
		case x.rows == 0:
			fmt.Fprintf(b, "| %s | %s | not in this run | |\n", x.what, x.bar)
		case x.met:
			fmt.Fprintf(b, "| %s | %s | %.3g | met |\n", x.what, x.bar, x.worst)
		default:
			fmt.Fprintf(b, "| %s | %s | %.3g (%s) | **missed** |\n", x.what, x.bar, x.worst, x.where)
		}
	}
	fmt.Fprintln(b)
}

func (r *report) writeCells(b *bytes.Buffer) {
	if len(r.cells) == 0 {
		return
	}
	fmt.Fprintf(b, "## What happens where things go wrong\n\nEach in a process of its own.\n\n")
	last := ""
	for _, c := range r.cells {
		if c.scenario != last {
			fmt.Fprintf(b, "\n| %s | |\n|---|---|\n", c.scenario)
			last = c.scenario
		}
		fmt.Fprintf(b, "| %s | %s |\n", c.peer, c.saw)
	}
	fmt.Fprintln(b)
}

func (r *report) writeStalls(b *bytes.Buffer) {
	if len(r.stalls) == 0 {
		return
	}
	fmt.Fprintf(b, "## What others get done while readers wait for the disk\n\n| filesystem | read by | work a second | of that beside os.File | timers late by | at most |\n|---|---|---|---|---|---|\n")
	for _, s := range r.stalls {
		fmt.Fprintf(b, "| %s | %s | %.0f | %.2f | %v | %v |\n", s.fs, s.way, s.work, s.share, s.late, s.latest)
	}
	fmt.Fprintln(b)
}

func (r *report) writeCrash(b *bytes.Buffer) {
	if len(r.crash) == 0 {
		return
	}
	fmt.Fprintf(b, "## What crashes leave\n\n| committed by | old or new, whole | anything else |\n|---|---|---|\n")
	for _, c := range r.crash {
		fmt.Fprintf(b, "| %s | %d | %d |\n", c.way, c.good, c.bad)
	}
	fmt.Fprintln(b)
}

// writeTables writes every row there is, a table for each benchmark.
func (r *report) writeTables(b *bytes.Buffer) {
	last := ""
	var ways, units []string
	for _, n := range r.rows {
		w, u := n.columns()
		if head := n.suite + " " + n.bench; head != last || !slices.Equal(w, ways) || !slices.Equal(u, units) {
			if head != last {
				fmt.Fprintf(b, "\n## %s: %s\n", n.suite, n.bench)
			}
			last, ways, units = head, w, u
			fmt.Fprintf(b, "\n| | %s |\n|%s\n", strings.Join(slices.Concat(ways, units), " | "), strings.Repeat("---|", 1+len(ways)+len(units)))
		}
		fmt.Fprintf(b, "| %s |", n.name())
		for _, way := range ways {
			fmt.Fprintf(b, " %s |", format(n.times[way], "sec"))
		}
		for _, unit := range units {
			fmt.Fprintf(b, " %s |", format(n.values[unit], unit))
		}
		fmt.Fprintln(b)
	}
}

// columns returns what a row shows: the time of each way, and what cannot be told from those.
func (r *row) columns() (ways, units []string) {
	for unit := range r.values {
		way, speed := strings.CutSuffix(unit, "-B/s")
		if !(speed && r.times[way] != nil) && unit != "sec/op" {
			units = append(units, unit)
		}
	}
	slices.SortFunc(units, byNumber)
	return slices.SortedFunc(slices.Values(r.ways), byNumber), units
}

// format returns a median and how far its confidence interval reaches.
func format(x []float64, unit string) string {
	if len(x) == 0 {
		return ""
	}
	s := summary(x)
	text := benchunit.Scale(s.Center, benchunit.ClassOf(unit))
	switch {
	case unit == "sec":
		text += "s"
	case s.Center < 1000: // a ratio or a number: 0.8374, not 837.4m
		text = fmt.Sprintf("%.4g", s.Center)
	}
	return text + " ±" + strings.TrimSpace(strings.TrimPrefix(s.PctRangeString(), "±"))
}
