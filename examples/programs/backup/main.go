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
// Onto another disk, or a filesystem without reflinks, a later copy takes of large files only what
// changed since an earlier copy:
//
//	backup -keep /srv/states /srv/data /disk2/monday
//	backup -keep /srv/states -since /disk2/monday /srv/data /disk2/tuesday
//
// With -keep, backup keeps the state of each file of 1 MiB or more as a reflink in a directory on
// the filesystem of the source, which must be XFS or btrfs. The directory is made for its owner
// alone. It is not used if it belongs to a user other than the caller or root, or if another user
// may write to it. If it lies in the source, it is left out of the copy. A kept state takes the
// room of what changed since. On btrfs, the directory has to lie in the same subvolume as the
// source: otherwise, and for compressed data, backup reads both states to compare them. With
// -since, backup asks the filesystem in which ranges the file differs from its kept state (FIEMAP),
// and reads these ranges and the rest of their blocks of 256 KiB, for the hashes. When the new copy
// is complete, the states of the previous copy are removed: the next -since is the new copy.
//
// The new copy is independent of the previous one, which is not changed. If the destination has
// reflinks and both copies are on it, only what changed is written, and the copies share the rest.
// Elsewhere the rest is read from the previous copy and written again: this saves reading the source,
// not writing. Small files, and files on other filesystems, are copied whole.
//
// The manifest has f_fsid, inode, time of change and size of each kept state. If one of these differs,
// or the file of the previous copy is missing or has another size, backup copies the file whole and
// reports it. It does not read the unchanged ranges of the previous copy, so damage there is in the new
// copy, too. -verify finds it in both: the hashes are of the source. After damage, make a copy without
// -since. If backup is killed, or the machine crashes, the directory of its states stays in the
// directory of -keep and can be removed: no manifest names it. A new f_fsid, as after XFS was mounted
// from a device of another number, costs one whole copy.
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
// directories, copy.go copies one file, since.go what changed in it, keep.go keeps its state for
// that, blocks.go hashes it, attributes.go gives it owner, mode and times, workers.go copies in
// parallel, manifest.go is what is written last, verify.go reads it all again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

const usage = `usage: backup [-jobs n] [-keep directory [-since copy]] source destination
       backup [-jobs n] -verify destination

Makes the directory destination and in it a copy of the tree source, each file of which is a snapshot;
or compares such a copy with its manifest. With -since, it reads of large files only what changed since
an earlier copy, made with the same -keep.

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
	keepIn := flags.String("keep", "", "keep the states of large files in this `directory`, on the source's filesystem, for -since")
	since := flags.String("since", "", "of large files, copy what changed since this `copy`")
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
	parent, _ := program.SplitName(o.destination)
	if err := notInside(src, parent); err != nil {
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

// notInside returns an error if dir is the source or below it: the copy would be copied. The kernel
// finds the parent of each directory: no name is cleaned.
func notInside(src *os.Root, dir string) error {
	from, err := src.Stat(".")
	if err != nil {
		return err
	}
	at, err := os.Stat(dir)
	for err == nil {
		if os.SameFile(at, from) {
			return fmt.Errorf("the destination is inside the source %s", filepath.Clean(src.Name()))
		}
		below := at
		dir += "/.."
		if at, err = os.Stat(dir); err == nil && os.SameFile(at, below) {
			return nil // the root
		}
	}
	return err
}
