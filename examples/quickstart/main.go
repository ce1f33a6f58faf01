// Command quickstart shows the main job of this module on real data: it reads a zip archive of
// Go's own source tree through a snapshot while another goroutine keeps destroying the file,
// changes one byte of a large file durably, and says what each cost beside package os.
//
//	go run ./examples/quickstart [-size MiB] [directory]
//
// Each file is one idea: archive.go makes the data, writer.go destroys them, walk.go reads them
// meanwhile, edit.go changes them, measure.go compares. Nothing is left behind, whatever
// happens.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
)

const usage = `usage: quickstart [-size MiB] [directory]

Packs Go's own source tree into a zip archive in a fresh directory below the one given (default: the
directory for temporary files), reads the archive through a snapshot while another goroutine keeps
destroying it, changes one byte of a large file durably, and says what each cost beside package os.
It takes about 15 seconds, on a busy machine a minute, and for that time disk space: twice the size
of the large file, or once that and 200 MiB. Try it on ext4, XFS, btrfs and tmpfs. Nothing is left behind.

`

func main() { os.Exit(start(os.Args[1:], os.Stdout, os.Stderr)) }

// hangup is SIGHUP, which package syscall does not define for GOOS=js.
const hangup = syscall.Signal(1)

// start returns the exit status.
func start(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	size := flags.Int64("size", 256, "size of the large file in `MiB`")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return 0
	case err != nil:
	case flags.NArg() > 1:
		err = fmt.Errorf("want one directory at most, not %d", flags.NArg())
	case *size < 1 || *size > 1<<20:
		err = fmt.Errorf("-size must be between 1 and %d, not %d", 1<<20, *size)
	}
	if err != nil {
		fmt.Fprintf(stderr, "quickstart: %s (-h shows the usage)\n", printable(err))
		return 2
	}
	c := config{
		dir:      os.TempDir(),
		size:     *size << 20,
		room:     *size<<20 + max(*size<<20, 200<<20),
		walks:    2,
		pause:    50 * time.Millisecond,
		rounds:   5,
		budget:   4 * time.Second,
		progress: io.Discard,
	}
	if flags.NArg() == 1 {
		c.dir = flags.Arg(0)
	}
	if fi, err := os.Stderr.Stat(); err == nil && fi.Mode()&os.ModeCharDevice != 0 {
		c.progress = os.Stderr
	}

	// A signal ends the context, and so the work, wherever it is; run then cleans up.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, hangup)
	defer stop()
	if err := run(ctx, c, stdout); err != nil {
		fmt.Fprintln(stderr, "quickstart:", printable(err))
		return 1
	}
	return 0
}

// printable returns the text of an error, quoted if a terminal might take it as commands, or a
// reader as more than one message.
func printable(err error) string {
	if s := err.Error(); strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return err.Error()
}

// A config is what a test makes smaller.
type config struct {
	dir      string        // below which everything happens
	source   string        // the tree to pack; "": Go's
	size     int64         // of the large file
	room     int64         // that has to be free; 0 means that it is not looked at
	walks    int           // through the archive, at least
	pause    time.Duration // of the writer between two steps
	rounds   int           // of destruction during them, and of changes to the large file, at least
	budget   time.Duration // for each comparison, about
	progress io.Writer
}

// run does everything, and returns an error if anything failed or was torn.
func run(ctx context.Context, c config, out io.Writer) error {
	if runtime.GOOS != "linux" {
		return errors.New("snapshots need Linux")
	}
	if c.source == "" {
		source, err := goSource(ctx)
		if err != nil {
			return err
		}
		c.source = source
	}
	if err := checkRoom(c); err != nil {
		return err
	}
	fmt.Fprint(out, intro)
	r, err := inTempDir(ctx, c)
	if r != nil {
		r.print(out)
	}
	return err
}

// checkRoom returns an error if the disk is too small, before time is spent on it.
func checkRoom(c config) error {
	free, err := freeBytes(c.dir)
	if err != nil {
		return &fs.PathError{Op: "statfs", Path: c.dir, Err: err}
	}
	if free < c.room {
		return fmt.Errorf("%s has %d MiB free, and %d MiB are needed: give another directory, or a"+
			" smaller -size: %w", c.dir, free>>20, c.room>>20, syscall.ENOSPC)
	}
	return nil
}

// inTempDir does the work in a directory of its own, which it removes in any case.
func inTempDir(ctx context.Context, c config) (r *report, err error) {
	dir, err := os.MkdirTemp(c.dir, "quickstart-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx) // which signal it was, not what it broke
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	return work(ctx, c, dir)
}

// work returns a report if it came to the end, or to something torn.
func work(ctx context.Context, c config, dir string) (*report, error) {
	r := &report{dir: c.dir, filesystem: filesystem(dir)}
	archive, other := filepath.Join(dir, "src.zip"), filepath.Join(dir, "other.zip")
	large, small := filepath.Join(dir, "large"), filepath.Join(dir, "small")

	fmt.Fprintln(c.progress, "packing", c.source)
	if err := pack(ctx, archive, c.source); err != nil {
		return nil, err
	}
	if err := repack(ctx, other, archive); err != nil {
		return nil, err
	}
	// Large and small are made of the archive, which does not survive what comes then.
	if err := fill(ctx, large, archive, c.size); err != nil {
		return nil, err
	}
	if err := fill(ctx, small, archive, smallSize); err != nil {
		return nil, err
	}

	fmt.Fprintln(c.progress, "reading while the file is destroyed")
	if err := readUnderFire(ctx, c, r, archive, other); err != nil {
		return nil, err
	}
	if r.torn != nil {
		return r, r.torn
	}
	for _, name := range []string{archive, other} {
		if err := os.Remove(name); err != nil {
			return nil, err
		}
	}

	fmt.Fprintln(c.progress, "changing one byte")
	if err := compareEdits(ctx, c, r, large); err != nil {
		return nil, err
	}

	fmt.Fprintln(c.progress, "opening and reading")
	for _, name := range []string{small, large} {
		if err := compareOpen(ctx, c, r, name); err != nil {
			return nil, err
		}
	}
	if err := compareReads(ctx, c, r, large); err != nil {
		return nil, err
	}
	return r, nil
}

// goSource returns where the source of Go lies.
func goSource(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("this example packs Go's source tree, and asks the go command where it is: %w", err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src")
	if _, err := os.Stat(source); err != nil {
		return "", fmt.Errorf("this example packs Go's source tree, which is not there: %w", err)
	}
	return source, nil
}
