package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"gonum.org/v1/plot/plotter"
)

// A chart is a picture of the report.
type chart struct {
	file, title, note string
	draw              func(path string) (bool, error) // false if there is nothing to show
}

// charts draws what there are figures for, and returns that.
func (r *report) charts(dir string) ([]chart, error) {
	var shown []chart
	for _, c := range []chart{
		{"open.svg", "Opening and closing a file", "On XFS, by reflink, and on ext4, where the data are copied, or with Lazy read under a lease. bare are the system calls alone that a reflink takes; os.ReadFile is the other way to have what nobody changes any more.", r.drawOpen},
		{"readat.svg", "Reading at random what is in memory", "On XFS, one goroutine. memory is a slice on the heap: the limit.", r.drawReadAt},
		{"stall.svg", "Work of others while readers wait for the disk", "Eight goroutines read cold pages of a slow disk, one computes, on two processors. raw is a mapping that is touched as it is.", r.drawStall},
		{"commit.svg", "Changing one page, durably", "rewrite is write, fsync, rename, fsync of the directory.", r.drawCommit},
		{"commits.svg", "One commit after the other", "Each changes 100 random pages of 64 MiB; medians of twenty. Every such commit makes a hundred more extents, which later ones put in order again.", r.drawCommits},
		{"crash.svg", "What a crash leaves", "Images of a disk taken while a program commits, shutdowns of filesystems and kills. The lower bars break a promise on purpose, and stop at the first damage: they show that the tests would see it.", r.drawCrash},
	} {
		ok, err := c.draw(filepath.Join(dir, c.file))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.file, err)
		}
		if ok {
			shown = append(shown, c)
		}
	}
	return shown, nil
}

// bySize returns the points of a way, the size of the file against what y makes of the median.
func bySize(rows []*row, way string, y func(size, sec float64) float64) plotter.XYs {
	var points plotter.XYs
	for _, n := range rows {
		size, err := strconv.ParseFloat(n.get("size"), 64)
		if sec, ok := n.time(way); ok && err == nil {
			points = append(points, plotter.XY{X: size, Y: y(size, sec)})
		}
	}
	return points
}

func seconds(_, sec float64) float64 { return sec }

func (r *report) drawOpen(path string) (bool, error) {
	xfs := r.find("Open", "fs=xfs", "method=reflink")
	ext4 := r.find("Open", "fs=ext4", "method=copy")
	p := newPlot("size of the file", "time of Open and Close")
	p.logSizes()
	p.logTimes()
	p.line("os.ReadFile, XFS", 1, false, bySize(xfs, "os.ReadFile", seconds))
	p.line("Mmap, ext4 (copy)", 0, true, bySize(ext4, "Mmap", seconds))
	p.line("Mmap, XFS (reflink)", 0, false, bySize(xfs, "Mmap", seconds))
	p.line("bare system calls, XFS", 2, false, bySize(xfs, "bare", seconds))
	p.line("Lazy, ext4", 4, false, bySize(r.find("LazyOpen", "fs=ext4"), "Lazy", seconds))
	p.line("os.Open, XFS", 3, false, bySize(xfs, "os.File", seconds))
	return p.save(path)
}

func (r *report) drawReadAt(path string) (bool, error) {
	rows := r.find("ReadAt", "fs=xfs", "cache=hot", "goroutines=1")
	p := newPlot("bytes a call", "GB a second")
	p.logSizes()
	p.logRates()
	gb := func(size, sec float64) float64 { return size / sec / 1e9 }
	for i, way := range []string{"memory", "mapping", "Mmap", "os.File"} {
		p.line(way, []int{2, 3, 0, 1}[i], way == "memory", bySize(rows, way, gb))
	}
	return p.save(path)
}

func (r *report) drawCommit(path string) (bool, error) {
	p := newPlot("size of the file", "time of the change")
	p.logSizes()
	p.logTimes()
	for i, fs := range []string{"xfs", "btrfs"} {
		rows := r.find("Commit", "fs="+fs, "pages=1", "durable=true")
		name := []string{"XFS", "btrfs"}[i]
		p.line("rewrite, "+name, 1, i == 1, bySize(rows, "rewrite", seconds))
		p.line("CommitAndClose, "+name, 2, i == 1, bySize(rows, "CommitAndClose", seconds))
		p.line("Commit, "+name, 0, i == 1, bySize(rows, "Commit", seconds))
	}
	return p.save(path)
}

func (r *report) drawCommits(path string) (bool, error) {
	p := newPlot("commits so far", "time of a commit, ms")
	for i, fs := range []string{"xfs", "btrfs"} {
		name := []string{"XFS", "btrfs"}[i]
		for _, n := range r.find("Commits", "fs="+fs) {
			var points, rewrites plotter.XYs
			for _, way := range n.ways {
				at, ok := strings.CutPrefix(way, "at-")
				x, err := strconv.ParseFloat(at, 64)
				if !ok || err != nil {
					continue
				}
				y, _ := n.time(way)
				rewrite, _ := n.time("rewrite")
				points = append(points, plotter.XY{X: x, Y: y * 1e3})
				rewrites = append(rewrites, plotter.XY{X: x, Y: rewrite * 1e3})
			}
			p.line("rewrite, "+name, 1, i == 1, rewrites)
			p.line("Commit, "+name, 0, i == 1, points)
		}
	}
	p.fromZero()
	return p.save(path)
}

func (r *report) drawStall(path string) (bool, error) {
	p := newPlot("", "work of others, of that beside os.File")
	var ways []string
	shares := map[string]plotter.Values{}
	for _, s := range r.stalls {
		if shares[s.fs] == nil {
			shares[s.fs] = plotter.Values{}
		}
		shares[s.fs] = append(shares[s.fs], s.share)
		if s.fs == r.stalls[0].fs {
			ways = append(ways, s.way)
		}
	}
	p.bars(ways, []string{"XFS", "btrfs"}, []plotter.Values{shares["xfs"], shares["btrfs"]})
	return p.save(path)
}

func (r *report) drawCrash(path string) (bool, error) {
	p := newPlot("crashes", "")
	var ways []string
	var good, bad plotter.Values
	for _, control := range []bool{true, false} { // from the bottom up
		for i := len(r.crash) - 1; i >= 0; i-- {
			if c := r.crash[i]; c.control == control {
				ways = append(ways, c.way)
				good, bad = append(good, float64(c.good)), append(bad, float64(c.bad))
			}
		}
	}
	p.stacked(ways, []string{"old or new, whole", "anything else"}, good, bad)
	return p.save(path)
}
