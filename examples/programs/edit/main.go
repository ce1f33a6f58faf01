// Command edit changes some bytes of a file of any size, atomically: whoever reads the file, or
// finds it after a crash, has all of the old contents or all of the new.
//
//	edit -find old.example -replace new.example disk.img     like sed, for bytes
//	edit -x -find 0d0a -replace 0a huge.csv                  in hexadecimal, and of another length
//	edit -x -at 0x1fe -write 55aa disk.img                   at an offset
//	edit -n -find old.example -replace "" disk.img           only shows what would be done
//
// On a filesystem with reflinks (XFS, btrfs), an edit that does not move the rest of the file
// costs reading it once, and writing the pages that change. Holes are neither read nor filled,
// unless all bytes to find are zero. The file is never in memory as a whole.
//
// A replacement of another length moves the rest of the file: all that follows the first place is
// read and written, holes become data, and the disk has to have room for it. -n shows how much it is.
//
// The exit status is 0, or 1 if something failed or nothing was found, or 2 for wrong usage. If
// it is not 0 the file is as it was, unless the error says otherwise.
//
// Each file is one idea: main.go does what is common to all edits, find.go searches a file of
// any size, replace.go replaces what was found.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

const usage = `usage: edit [flags] -find bytes -replace bytes file
       edit [flags] -at offset -write bytes file

Changes a file of any size, atomically. The first form replaces all that is found, by as many bytes
or more or fewer; the second overwrites what is at an offset, beyond the end too, but leaves no gap.
With as many bytes, the rest of the file is neither written nor, where it has holes, read. With more
or fewer, all that follows the first place is written, holes included: -n shows how much that is.

`

func main() { program.Main("edit", run) }

// An edit is what to do.
type edit struct {
	find    []byte // if nil, write at the offset
	replace []byte
	at      int64

	shown io.Writer // what is changed is shown there
	std   program.Std
}

// A result is what came of it.
type result struct {
	count   int   // of places
	written int64 // bytes
	filled  int64 // bytes of holes that become data
}

// places returns where the file is changed, for a message.
func (r result) places() string { return program.Count(r.count, "place", "places") }

// cost returns what is written, for a message; size is that of the file.
func (r result) cost(verb string, size int64) string {
	s := fmt.Sprintf("%s %s of %.1f MiB", program.Count(r.written, "byte", "bytes"), verb, mebi(size))
	if r.filled > 0 {
		s += fmt.Sprintf(", holes of %.1f MiB among them", mebi(r.filled))
	}
	return s
}

func run(ctx context.Context, args []string, std program.Std) error {
	flags := flag.NewFlagSet("edit", flag.ContinueOnError)
	find := flags.String("find", "", "the `bytes` to replace")
	replace := flags.String("replace", "", "the `bytes` to replace them by; \"\" takes them away")
	at := flags.Int64("at", 0, "the `offset` to write at; 0x… is hexadecimal")
	write := flags.String("write", "", "the `bytes` to write there")
	inHex := flags.Bool("x", false, "all bytes are given in hexadecimal")
	dry := flags.Bool("n", false, "show what would be changed, and change nothing")
	verbose := flags.Bool("v", false, "show the offset of each change (in the old contents)")
	inPlace := flags.Bool("inplace", false, "keep the inode, and other hard links, and give up atomicity; needs reflinks")
	check := flags.Bool("check", false, "fail if another process changes the file meanwhile, rather than undo that")
	if err := program.Parse(flags, usage, args, std); err != nil {
		return err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	searches, err := checkFlags(given)
	if err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return program.Usage("want one file after the flags, not %d", flags.NArg())
	}
	e := edit{at: *at, shown: io.Discard, std: std}
	if *verbose || *dry {
		e.shown = std.Out
	}
	if searches {
		e.find, err = parse(*find, *inHex)
		*write = *replace
	}
	if err == nil {
		e.replace, err = parse(*write, *inHex)
	}
	switch {
	case err != nil:
		return program.Usage("%w", err)
	case searches && len(e.find) == 0:
		return program.Usage("-find: no bytes given")
	case !searches && len(e.replace) == 0:
		return program.Usage("-write: no bytes given")
	}
	if *dry {
		return e.show(ctx, flags.Arg(0))
	}
	return e.do(ctx, snapshot.Config{InPlace: *inPlace, CheckConflict: *check}, flags.Arg(0))
}

// checkFlags returns which of the two forms is wanted.
func checkFlags(given map[string]bool) (searches bool, err error) {
	searches = given["find"] || given["replace"]
	writes := given["at"] || given["write"]
	if searches && writes {
		return false, program.Usage("-find and -replace do not go with -at and -write")
	}
	if !searches && !writes {
		return false, program.Usage("want -find and -replace, or -at and -write")
	}
	for _, pair := range [][2]string{{"find", "replace"}, {"at", "write"}} {
		for i, name := range pair {
			if other := pair[1-i]; given[other] && !given[name] {
				return false, program.Usage("-%s needs -%s", other, name)
			}
		}
	}
	return searches, nil
}

func parse(s string, inHex bool) ([]byte, error) {
	if !inHex {
		return []byte(s), nil
	}
	return hex.DecodeString(s)
}

var errNotFound = errors.New("not found; nothing was changed")

// show says what would be done. It needs no permission to write.
func (e edit) show(ctx context.Context, name string) error {
	update, end := e.std.Progress("copying the file")
	m, err := snapshot.Config{Progress: update}.Open(ctx, name)
	end()
	if err != nil {
		return err
	}
	defer m.Close()
	res := result{count: 1, written: int64(len(e.replace))}
	if e.find == nil {
		if err = e.checkOffset(m.Size()); err == nil {
			_, err = fmt.Fprintln(e.shown, e.at)
		}
	} else if res, err = e.findAll(ctx, m, m.Size(), nil); err == nil && res.count == 0 {
		err = errNotFound
	}
	if err != nil {
		return fmt.Errorf("%s: %w", program.Printable(name), err)
	}
	_, err = fmt.Fprintf(e.std.Out, "%s: would be changed in %s, %s\n",
		program.Printable(name), res.places(), res.cost("to be written", m.Size()))
	return err
}

// do changes the file, and says what that cost.
func (e edit) do(ctx context.Context, c snapshot.Config, name string) error {
	update, end := e.std.Progress("copying the file")
	c.Progress = update
	begin := time.Now()
	m, err := c.OpenMut(ctx, name)
	end()
	if err != nil {
		return err
	}
	defer m.Close() // discards what was not committed
	opened := time.Now()
	res, err := e.change(ctx, m)
	if err != nil {
		return fmt.Errorf("%s: %w", program.Printable(name), err)
	}
	edited, size := time.Now(), m.Size()
	// Until here nobody has seen anything of it.
	if err := m.CommitAndClose(); err != nil {
		return err
	}
	committed := time.Now()
	fmt.Fprintf(e.std.Out, "%s: changed in %s, %s; %v in %v, edited in %v, committed in %v\n",
		program.Printable(name), res.places(), res.cost("written", size),
		m.Method(), opened.Sub(begin), edited.Sub(opened), committed.Sub(edited))
	return nil
}

// change makes the edit in the snapshot.
func (e edit) change(ctx context.Context, m *snapshot.MmapMut) (result, error) {
	if e.find != nil {
		res, err := e.replaceAll(ctx, m)
		if err == nil && res.count == 0 {
			err = errNotFound
		}
		return res, err
	}
	if err := e.checkOffset(m.Size()); err != nil {
		return result{}, err
	}
	if end := e.at + int64(len(e.replace)); end > m.Size() {
		if err := m.Resize(end); err != nil {
			return result{}, err
		}
	}
	if _, err := fmt.Fprintln(e.shown, e.at); err != nil {
		return result{}, err
	}
	n, err := m.WriteAt(e.replace, e.at)
	return result{count: 1, written: int64(n)}, err
}

func (e edit) checkOffset(size int64) error {
	if e.at < 0 || e.at > size {
		return fmt.Errorf("offset %d is not within the %d bytes of the file", e.at, size)
	}
	return nil
}

func mebi(n int64) float64 { return float64(n) / (1 << 20) }
