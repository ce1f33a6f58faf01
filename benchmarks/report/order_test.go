package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestByNumber(t *testing.T) {
	want := []string{
		"", "2", "10", "Mmap", "at-020", "at-20x", "at-100", "at-1000", "at-1000-2", "at-1000-10", "rewrite",
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, byNumber)
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// lines returns the lines of a chart, each with the x of every point.
func lines(t *testing.T, chart string) (lines [][]float64) {
	t.Helper()
	data, err := os.ReadFile(chart)
	if err != nil {
		t.Fatal(err)
	}
	path := regexp.MustCompile(`<path d="M([^"AZ]*)" style="[^"]*stroke-width:2[;"]`)
	for _, m := range path.FindAllStringSubmatch(string(data), -1) {
		var xs []float64
		for point := range strings.SplitSeq(m[1], "L") {
			x, err := strconv.ParseFloat(strings.Split(point, ",")[0], 64)
			if err != nil {
				t.Fatal(err)
			}
			xs = append(xs, x)
		}
		if len(xs) > 2 { // not the one of the legend
			lines = append(lines, xs)
		}
	}
	return lines
}

// Charts and tables have numbers in ascending order, whatever the order in the raw output: go test
// sorts metrics by name.
func TestNumbersInOrder(t *testing.T) {
	const raw = `goos: linux
pkg: example.com/m/benchmarks
BenchmarkCommits/fs=xfs-2  1  7e7 at-100-ns/op  4.5e7 at-1000-ns/op  5.3e7 at-20-ns/op  7.7e7 rewrite-ns/op
BenchmarkOpen/fs=xfs/method=reflink/size=1048576-2  1  20000 Mmap-ns/op  10000 bare-ns/op
BenchmarkOpen/fs=xfs/method=reflink/size=65536-2  1  20000 Mmap-ns/op  10000 bare-ns/op
BenchmarkOpen/fs=xfs/method=reflink/size=262144-2  1  20000 Mmap-ns/op  10000 bare-ns/op
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, rawBenchmarks), []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := read(dir)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := r.charts(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(shown) != 2 {
		t.Fatalf("%d charts", len(shown))
	}
	for _, c := range shown {
		found := lines(t, filepath.Join(dir, c.file))
		if len(found) != 2 {
			t.Errorf("%s: %d lines", c.file, len(found))
		}
		for _, xs := range found {
			if len(xs) != 3 || !slices.IsSorted(xs) {
				t.Errorf("%s: a line goes to %v", c.file, xs)
			}
		}
	}
	md := string(r.markdown(shown))
	for _, want := range []string{
		"| at-20 | at-100 | at-1000 | rewrite |",
		"| 53.00ms ±∞ | 70.00ms ±∞ | 45.00ms ±∞ | 77.00ms ±∞ |",
	} {
		if !strings.Contains(md, want) {
			t.Errorf("no %q in\n%s", want, md)
		}
	}
}
