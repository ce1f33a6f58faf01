package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const sample = `processors: 2
command: go -C benchmarks/report run . -count 2 -quick
goos: linux
pkg: example.com/m/benchmarks
BenchmarkOpen/fs=xfs/method=reflink/size=4096-2  1  20000 Mmap-ns/op  10000 bare-ns/op  0.5 bare/Mmap  15 Mmap-allocs/op
BenchmarkOpen/fs=xfs/method=reflink/size=4096-2  1  22000 Mmap-ns/op  10000 bare-ns/op  0.45 bare/Mmap  15 Mmap-allocs/op
BenchmarkOpen/fs=xfs/method=reflink/size=65536-2  1  30000 Mmap-ns/op  25000 bare-ns/op  0.83 bare/Mmap  15 Mmap-allocs/op
PASS
pkg: example.com/m/benchmarks/peers
BenchmarkOpen/fs=xfs/size=4096-2  1  20000 Mmap-ns/op  5000 mmap-go-ns/op  0.25 mmap-go/Mmap
PASS
`

const stallSample = `goos: linux
BenchmarkStall/xfs-2         	       1	 663864262 ns/op
--- BENCH: BenchmarkStall/xfs-2
    stall_test.go:154: os.File   100000 units/s,  1147 reads/s, timers late by 127µs, at most 7.42ms: 1.00 of the work beside os.File
    stall_test.go:154: Mmap       90000 units/s,   700 reads/s, timers late by 121µs, at most 11.73ms: 0.90 of the work beside os.File
BenchmarkStall/btrfs-2       	       1	 663864262 ns/op
--- BENCH: BenchmarkStall/btrfs-2
    stall_test.go:154: Mmap       70000 units/s,   700 reads/s, timers late by 121µs, at most 11.73ms: 0.70 of the work beside os.File
PASS
`

const crashSample = `=== RUN   TestCrashControlImages/xfs/names
    crashcontrol_linux_test.go:65: 5 crashes in 7 generations: 0 left a temporary name, 3 older than acknowledged
=== RUN   TestCrashControlKill/xfs
    crashcontrol_linux_test.go:112: 1 crashes in 1 generations: 0 left a temporary name, 1 not one generation in whole, 1 older than acknowledged
=== RUN   TestCrashImages/xfs/Commit
    crashimage_linux_test.go:116: 4 crashes in 4 generations: 1 left a temporary name
=== RUN   TestCrashKill/ext4/Commit
    crashkill_linux_test.go:47: 2 crashes in 4 generations: 0 left a temporary name
`

// samples returns a report of the samples.
func samples(t *testing.T) (*report, string) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string]string{
		rawBenchmarks: sample,
		rawStall:      stallSample,
		rawCrash:      crashSample,
		rawScenarios:  "    x_test.go:1: cell: full disk, xfs | mmap-go | program dies: SIGBUS\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r, dir
}

// near is for numbers that were reckoned with.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Abs(b) }

func TestRead(t *testing.T) {
	r, _ := samples(t)
	if len(r.rows) != 3 {
		t.Fatalf("%d rows", len(r.rows))
	}
	rows := r.find("Open", "fs=xfs", "size=4096")
	if len(rows) != 1 {
		t.Fatalf("%d rows of one name: suites are mixed up", len(rows))
	}
	if x, ok := rows[0].time("Mmap"); !ok || !near(x, 21e-6) {
		t.Errorf("a median of %v, want that of both runs", x)
	}
	if !slices.Equal(rows[0].ways, []string{"Mmap", "bare"}) {
		t.Errorf("ways are %q", rows[0].ways)
	}
	if x, ok := rows[0].value("Mmap-allocs/op"); !ok || x != 15 {
		t.Errorf("%v allocations", x)
	}
	want := []stall{
		{"xfs", "os.File", 100000, 1, 127 * time.Microsecond, 7420 * time.Microsecond},
		{"xfs", "Mmap", 90000, 0.9, 121 * time.Microsecond, 11730 * time.Microsecond},
		{"btrfs", "Mmap", 70000, 0.7, 121 * time.Microsecond, 11730 * time.Microsecond},
	}
	if !slices.Equal(r.stalls, want) {
		t.Errorf("stalls are %v", r.stalls)
	}
	if want := []crash{{"no fsync of the directory", 2, 3, true}, {"InPlace, killed", 0, 1, true}, {"Commit", 6, 0, false}}; !slices.Equal(r.crash, want) {
		t.Errorf("crashes are %v", r.crash)
	}
	if want := []cell{{"full disk, xfs", "mmap-go", "program dies: SIGBUS"}}; !slices.Equal(r.cells, want) {
		t.Errorf("cells are %v", r.cells)
	}
}

// Of all rows it is the worst that counts, on either side of a bar.
func TestBars(t *testing.T) {
	r, _ := samples(t)
	for _, b := range r.bars() {
		switch b.what {
		case "Open and Close by reflink, of the bare system calls":
			if b.met || !near(b.worst, 2.1) || b.rows != 2 {
				t.Errorf("%+v", b)
			}
		case "cold ReadAt: work of others, of that beside os.File":
			if b.met || b.worst != 0.7 || b.where != "btrfs Mmap" {
				t.Errorf("%+v", b)
			}
		case "the bare system calls, of those of the best size":
			if b.met || !near(b.worst, 2.5) || b.rows != 2 {
				t.Errorf("%+v", b)
			}
		default:
			if b.rows > 0 && b.what != "Open and Close by reflink, of that of the best size" {
				t.Errorf("%+v is of other rows", b)
			}
		}
	}
	ratio := func(n *row) (float64, bool) { return n.time("Mmap") }
	if b := least("", 1, r.rows, ratio); b.met || !near(b.worst, 20e-6) || b.bar != "at least 1" {
		t.Errorf("%+v", b)
	}
	if b := least("", 1e-6, r.rows, ratio); !b.met {
		t.Errorf("%+v", b)
	}
}

func TestMarkdown(t *testing.T) {
	r, dir := samples(t)
	shown, err := r.charts(dir)
	if err != nil {
		t.Fatal(err)
	}
	md := string(r.markdown(shown))
	for _, want := range []string{
		"| Mmap | bare | Mmap-allocs/op | bare/Mmap |", "21.00µs", "| processors | 2 |", "](open.svg)", "](stall.svg)", "](crash.svg)",
		"| mmap-go | program dies: SIGBUS |", "-short",
	} {
		if !strings.Contains(md, want) {
			t.Errorf("no %q in\n%s", want, md)
		}
	}
	// There are no figures for this one.
	if strings.Contains(md, "commits.svg") {
		t.Error("an empty chart is shown")
	}
	for _, c := range shown {
		data, err := os.ReadFile(filepath.Join(dir, c.file))
		if err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(bytes.NewReader(data)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", c.file, err)
			}
		}
	}
}
