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
// names every file with its size, mode, time of modification, hash and how it was copied. The
// manifest is written last, when everything else is on the disk: a copy that has one is complete.
// If backup fails or is interrupted, the destination is removed again.
//
// Owners are kept if root runs it; extended attributes and ACLs where no data are copied, but no
// file capabilities. Hard links become files of their own. Symbolic links are copied as such and
// never followed. Sockets, FIFOs and devices are named and left out. The destination is open to its
// owner alone.
//
// The exit status is 0; 1 if there is no copy, or it does not match its manifest; 2 for wrong
// usage; 3 if the copy is there but lacks files that vanished, could not be read, did not hold
// still while they were copied, or on which another process kept a lease for two seconds.
//
// Each file is one idea: main.go does one thing after the other, walk.go lists the source, copy.go
// copies one file, workers.go does so in parallel, manifest.go is what is written last, verify.go
// reads it all again.
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
	jobs := flags.Int("jobs", runtime.GOMAXPROCS(0), "how many files to work on at a time")
	if err := program.Parse(flags, usage, args, std); err != nil {
		return err
	}
	if *jobs < 1 || *jobs > 1024 {
		return program.Usage("-jobs must be between 1 and 1024")
	}
	if *check {
		if flags.NArg() != 1 {
			return program.Usage("want one copy to verify")
		}
		return verify(ctx, std, flags.Arg(0), *jobs)
	}
	if flags.NArg() != 2 {
		return program.Usage("want a source and a destination")
	}
	if runtime.GOOS != "linux" {
		return fmt.Errorf("snapshots need Linux: %w", errors.ErrUnsupported)
	}
	return backup(ctx, std, flags.Arg(0), flags.Arg(1), *jobs)
}

// backup makes the destination, and removes it again if it fails.
func backup(ctx context.Context, std program.Std, source, destination string, jobs int) (err error) {
	src, err := os.OpenRoot(source)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := notInside(source, filepath.Dir(filepath.Clean(destination))); err != nil {
		return err
	}
	if err := os.Mkdir(destination, 0o700); err != nil { // nobody else puts anything there
		return err
	}
	lacking := 0
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(destination))
		} else if lacking > 0 {
			err = &program.Exit{Status: incomplete, Err: fmt.Errorf("%d files are not in the copy", lacking)}
		}
	}()
	to, err := os.OpenRoot(destination)
	if err != nil {
		return err
	}
	defer to.Close()
	c := &copier{std: std, src: src}
	if err := c.walk(ctx); err != nil {
		return err
	}
	if err := c.makeTree(to); err != nil {
		return err
	}
	defer c.close()
	if err := c.copyAll(ctx, jobs); err != nil {
		return err
	}
	if err := c.finishDirectories(); err != nil {
		return err
	}
	if err := syncFilesystem(c.dir); err != nil {
		return err
	}
	lacking = c.lacking
	if err := writeManifest(ctx, to, c.entries); err != nil {
		return err
	}
	c.report()
	return nil
}

// notInside returns an error if dir is source or below it: the copy would be copied.
func notInside(source, dir string) error {
	from, err := os.Stat(source)
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
			return fmt.Errorf("the destination is inside the source %s", source)
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return err
}
