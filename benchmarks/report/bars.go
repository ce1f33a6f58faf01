package main

import (
	"math"
	"slices"
	"strconv"
)

// A bar is what a ratio must not be above, or below, and the worst that was measured.
type bar struct {
	what, bar string
	rows      int
	worst     float64
	where     string
	met       bool
}

// most makes a bar of ratios that are to be small, taken from rows. A row that has none is left
// out.
func most(what string, limit float64, rows []*row, ratio func(n *row) (float64, bool)) bar {
	b := bar{what: what, bar: "at most " + text(limit), worst: math.Inf(-1)}
	for _, n := range rows {
		if x, ok := ratio(n); ok {
			b.rows++
			if x > b.worst {
				b.worst, b.where = x, n.name()
			}
		}
	}
	b.met = b.worst <= limit
	return b
}

// least is most's counterpart.
func least(what string, limit float64, rows []*row, ratio func(n *row) (float64, bool)) bar {
	b := most(what, -limit, rows, func(n *row) (float64, bool) {
		x, ok := ratio(n)
		return -x, ok
	})
	b.bar, b.worst = "at least "+text(limit), -b.worst
	return b
}

func text(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

// over returns the ratio of the medians of two ways.
func over(a, b string) func(n *row) (float64, bool) {
	return func(n *row) (float64, bool) {
		x, ok := n.time(a)
		y, and := n.time(b)
		return x / y, ok && and
	}
}

func metric(unit string) func(n *row) (float64, bool) {
	return func(n *row) (float64, bool) { return n.value(unit) }
}

// flat returns how many times as long an operation takes in a row as in the fastest row of the
// same filesystem.
func flat(rows []*row, way string) func(n *row) (float64, bool) {
	return func(n *row) (float64, bool) {
		x, ok := n.time(way)
		fastest := x
		for _, m := range rows {
			if y, ok := m.time(way); ok && m.get("fs") == n.get("fs") {
				fastest = min(fastest, y)
			}
		}
		return x / fastest, ok
	}
}

// cloning returns the rows of filesystems with reflinks.
func cloning(rows []*row) []*row {
	return slices.DeleteFunc(slices.Clone(rows), func(n *row) bool { return n.get("fs") != "xfs" && n.get("fs") != "btrfs" })
}

// bars returns where the library must stand.
func (r *report) bars() []bar {
	open := r.find("Open", "method=reflink")
	lazy := r.find("LazyOpen")
	hot := r.find("ReadAt", "size=4096", "cache=hot")
	edit := cloning(r.find("Commit", "pages=1", "durable=true", "size=1073741824"))
	sparse := r.find("Copy", "file=sparse")
	all := []bar{
		most("small files, own: Open, ReadAt and Close, of os.ReadFile", 2,
			append(r.find("Small", "reader=owner"), r.find("Small", "reader=user-owner")...), over("Mmap", "os.ReadFile")),
		most("small files, others': Open, ReadAt and Close, of os.ReadFile", 2, r.find("Small", "reader=other"), over("Mmap", "os.ReadFile")),
		most("small files: FS.Open, read and Close, of os.DirFS", 2.5, r.find("FS"), over("FS", "os.DirFS")),
		most("WalkDir and ReadFile of Go's sources, of os.DirFS", 2, r.find("Walk"), over("FS", "os.DirFS")),
		most("Open and Close by reflink, of the bare system calls", 1.3, open, over("Mmap", "bare")),
		most("Open and Close by reflink, of that of the best size", 1.3, open, flat(open, "Mmap")),
		most("the bare system calls, of those of the best size", 1.3, open, flat(open, "bare")),
		most("Open and Close with Lazy, of the bare system calls", 1.3, lazy, over("Lazy", "bare")),
		most("Open and Close with Lazy, of that of the best size", 1.3, lazy, flat(lazy, "Lazy")),
		most("ReadAt of 64 KiB, hot: with Lazy, of that without", 1.1,
			r.find("LazyReadAt", "size=65536"), over("Lazy", "Mmap")),
		least("ReadAt of 4 KiB, hot: os.File, of Mmap", 5, hot, over("os.File", "Mmap")),
		most("ReadAt of 4 KiB, hot: Mmap, of a plain mapping", 1.5, hot, over("Mmap", "mapping")),
		most("ReadAt of 4 KiB, hot: allocations", 0, r.find("ReadAt", "size=4096", "cache=hot", "goroutines=1"), metric("Mmap-allocs/op")),
		least("zip walk: os.File, of Mmap", 0.95, r.find("Zip"), over("os.File", "Mmap")),
		least("tar walk: os.File, of Reader", 0.95, r.find("Tar"), over("os.File", "Reader")),
		least("a page of 1 GiB, durably: rewriting, of CommitAndClose", 100, edit, over("rewrite", "CommitAndClose")),
		least("a page of 1 GiB, durably: rewriting, of Commit", 100, edit, over("rewrite", "Commit")),
		most("1 000 commits: the last hundred, of the first twenty", 2, cloning(r.find("Commits")), metric("last/first")),
		most("64 MiB in 10 GiB: time, of that of 64 MiB", 1.3, sparse, over("Mmap", "dense")),
		most("64 MiB in 10 GiB: MiB of disk", 66, sparse, metric("disk-MiB")),
	}
	stalls := bar{what: "cold ReadAt: work of others, of that beside os.File", bar: "at least 0.8", worst: math.Inf(1)}
	for _, s := range r.stalls {
		if s.way == "Mmap" || s.way == "MmapMut" {
			stalls.rows++
			if s.share < stalls.worst {
				stalls.worst, stalls.where = s.share, s.fs+" "+s.way
			}
		}
	}
	stalls.met = stalls.worst >= 0.8
	return append(all, stalls)
}
