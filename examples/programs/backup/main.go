// Command backup copies a tree of files that are in use. Each file in the copy is a snapshot: the
// file as it was at one instant, where the filesystem has reflinks, and otherwise while its size
// and times stayed the same. The tree as a whole is not: files are copied one after the other.
//
//	backup /srv/data /backup/2026-11-24      makes the directory and fills it
//	backup -verify /backup/2026-11-24        reads it again and compares it with its manifest
//
// If both are on one filesystem that has reflinks (XFS, btrfs), no data are copied, and the copy
// takes no room until files change.
//
// The copy of the tree is in the directory "tree" of the destination, beside "manifest", which
// names every file with its size, owner, mode, time of modification, hash and how it was copied. The
// manifest is written last, when everything else is on the disk: a copy that has one is complete.
// If backup fails or is interrupted, the destination is removed again.
//
// Owners and file capabilities are kept if root runs it; other extended attributes and ACLs of files
// where no data are copied. Hard links become files of their own. Symbolic links are copied as such
// and never followed. Sockets, FIFOs and devices are named and left out. The destination is open to
// its owner alone.
//
// With -verify, backup reports each difference from the manifest: contents, size, owner, mode, time
// of modification, extended attributes with ACLs and file capabilities, further hard links, and
// files that are not in the manifest. A user who may write to the manifest can hide differences.
//
// The exit status is 0; 1 if there is no copy, or it does not match its manifest; 2 for wrong
// usage; 3 if the copy is there but lacks files that vanished, could not be read, did not hold
// still while they were copied, lie below more than 255 directories, have a name or a size that the
// destination's filesystem does not take, or on which another process kept a lease for two seconds.
//
// Each file is one idea: main.go does one thing after the other, open.go opens without waiting,
// destination.go makes and removes the copy's directory, walk.go lists the source, tree.go makes
// directories, copy.go copies one file, attributes.go gives it owner, mode and times, workers.go
// copies in parallel, manifest.go is what is written last, verify.go reads it all again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

const usage = `usage: backup [-jobs n] source destination
       backup [-jobs n] -verify destination

Makes the directory destination and in it a copy of the tree source, each file of which is a snapshot;
or compares such a copy with its manifest.

`

func main() { program.Main("backup", run) }

// The exit status of a copy that lacks something.
const incomplete = 3

// What there is in the destination.
const (
	treeName     = "tree"
	manifestName = "manifest"
)

func run(ctx context.Context, args []string, std program.Std) error {
	flags := flag.NewFlagSet("backup", flag.ContinueOnError)
	check := flags.Bool("verify", false, "compare a copy with its manifest")
	keepIn := flags.String("keep", "", "keep the states of large files in this `directory`, for -since")
	since := flags.String("since", "", "copy what changed since this `copy`, made with the same -keep")
	jobs := flags.Int("jobs", runtime.GOMAXPROCS(0), "how many files to work on at a time")
	if err := program.Parse(flags, usage, args, std); err != nil {
		return err
	}
	if *since != "" && *keepIn == "" {
		return program.Usage("-since wants -keep, too")
	}
	if *check && *keepIn != "" {
		return program.Usage("-verify takes neither -keep nor -since")
	}
	if *jobs < 1 || *jobs > 1024 {
		return program.Usage("-jobs must be between 1 and 1024, not %d", *jobs)
	}
	if *check {
		if flags.NArg() != 1 {
			return program.Usage("-verify wants one copy, not %d", flags.NArg())
		}
		return verify(ctx, std, flags.Arg(0), *jobs)
	}
	if flags.NArg() != 2 {
		return program.Usage("want a source and a destination, not %s",
			program.Count(flags.NArg(), "argument", "arguments"))
	}
	if runtime.GOOS != "linux" {
		return fmt.Errorf("snapshots need Linux: %w", errors.ErrUnsupported)
	}
	return backup(ctx, std, options{flags.Arg(0), flags.Arg(1), *keepIn, *since, *jobs})
}

// options is what to do.
type options struct {
	source, destination string
	keep, since         string // or ""
	jobs                int
}

// backup makes the destination, and removes it again if it fails.
func backup(ctx context.Context, std program.Std, o options) (err error) {
	src, err := openRoot(o.source)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := notInside(src, filepath.Dir(filepath.Clean(o.destination))); err != nil {
		return err
	}
	to, err := makeDestination(o.destination)
	if err != nil {
		return err
	}
	defer to.close()
	c := &copier{std: std, src: src}
	defer func() {
		if err != nil {
			c.openDirectories()
			err = errors.Join(err, to.remove(), c.keep.remove())
		} else if c.lacking > 0 {
			err = &program.Exit{Status: incomplete, Err: fmt.Errorf(
				"%s not in the copy as in the source", program.Count(c.lacking, "file is", "files are"))}
		}
		c.close()
	}()
	if err := c.openStates(ctx, o); err != nil {
		return err
	}
	if err := c.walk(ctx); err != nil {
		return err
	}
	if err := c.makeTree(to.Root); err != nil {
		return err
	}
	if err := c.copyAll(ctx, o.jobs); err != nil {
		return err
	}
	if err := c.finishDirectories(ctx); err != nil {
		return err
	}
	if err := syncFilesystem(c.dir); err != nil {
		return err
	}
	if err := c.keep.sync(); err != nil {
		return err
	}
	if err := writeManifest(ctx, to.Root, c.entries); err != nil {
		return err
	}
	c.forgetPrevious(ctx)
	c.report()
	return nil
}

// openStates opens what -keep and -since name.
func (c *copier) openStates(ctx context.Context, o options) (err error) {
	if o.since != "" {
		if c.since, err = openPrevious(ctx, o.since); err != nil {
			return err
		}
	}
	if o.keep == "" {
		return nil
	}
	if c.keep, err = openKeep(o.keep); err != nil {
		return err
	}
	if fi, err := c.src.Stat("."); err != nil || c.keep.is(fi) {
		return errors.Join(err, errors.New("-keep is the source itself"))
	}
	return nil
}

// notInside returns an error if dir is the source or below it: the copy would be copied.
func notInside(src *os.Root, dir string) error {
	from, err := src.Stat(".")
	if err != nil {
		return err
	}
	dir, err = filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	for err == nil {
		var at fs.FileInfo
		if at, err = os.Stat(dir); err == nil && os.SameFile(at, from) {
			return fmt.Errorf("the destination is inside the source %s", filepath.Clean(src.Name()))
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return err
}
