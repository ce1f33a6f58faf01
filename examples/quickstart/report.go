package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

const intro = `This reads a zip archive of Go's source tree through a snapshot while a writer keeps destroying
the file, then changes one byte of a large file durably, and compares each with package os.
Every number is measured in this run.

`

// A report is what was found out.
type report struct {
	dir, filesystem string
	method          snapshot.Method
	archiveSize     int64
	files           int
	writer          *writer
	writing         time.Duration
	viaSnapshot     tally
	viaFile         tally
	torn            error
	rows            []comparison
	verified        int
}

func (r *report) print(out io.Writer) {
	facts := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(facts, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	line("filesystem", "%s, in %s", r.filesystem, r.dir)
	line("method", "%s", r.method)
	if r.method != snapshot.Reflink {
		line("", "Without reflinks the data have to be copied. XFS and btrfs share them: the time to open")
		line("", "hardly grows with the size then, and to change a byte writes its block, not the file.")
	}
	line("archive", "%d files, %s", r.files, human(r.archiveSize))
	w := r.writer
	line("writer", "in %s: replaced the file %d times, truncated it %d, rewrote it %d, overwrote it %d",
		short(r.writing), w.replaced.Load(), w.truncated.Load(), w.rewritten.Load(), w.overwritten.Load())
	line("meanwhile", "through the snapshot: %s", r.viaSnapshot)
	line("", "through os.File: %s", r.viaFile)
	if err := r.viaFile.first; err != nil {
		line("", "the first: %v", err)
	} else {
		line("", "(That os.File met no error was luck: it shows whatever the file holds at the moment.)")
	}
	_ = facts.Flush()
	if r.torn != nil {
		return
	}

	const columns = "%-34s%13s%13s%15s%6v\n"
	fmt.Fprintf(out, "\n"+columns, "medians, measured in turn", "package os", "snapshot", "ratio", "runs")
	for _, row := range r.rows {
		fmt.Fprintf(out, columns, row.what, row.show(row.ordinary), row.show(row.ours), row.ratio(), row.runs)
	}
	fmt.Fprintf(out, `
To change a byte, package os writes a new file, fsyncs it, renames it over the old one, and fsyncs
the directory. After each of the %d changes the whole file was checked: only that byte had changed.
Nothing torn was seen through the snapshot.
`, r.verified)
}

func (t tally) String() string {
	return fmt.Sprintf("%d walks (%d could not begin), %d entries, errors: %d", t.walks, t.unreadable, t.entries, t.failed)
}

func (c comparison) show(d time.Duration) string {
	if c.bytesEach == 0 {
		return short(d)
	}
	return fmt.Sprintf("%.2f GiB/s", float64(c.bytesEach)/(1<<30)/d.Seconds())
}

// ratio says how the snapshot compares with what is ordinary.
func (c comparison) ratio() string {
	slow, fast, word := c.ordinary, c.ours, "faster"
	if slow < fast {
		slow, fast, word = fast, slow, "slower"
	}
	switch x := float64(slow) / float64(max(fast, 1)); {
	case x < 1.05:
		return "equal"
	case x < 9.95:
		return fmt.Sprintf("%.1fx %s", x, word)
	default:
		return fmt.Sprintf("%.0fx %s", x, word)
	}
}

// short rounds to three digits.
func short(d time.Duration) string {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

func human(n int64) string {
	switch {
	case n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n < 1<<20 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
