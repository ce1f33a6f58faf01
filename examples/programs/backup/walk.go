package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

// A copier copies a tree.
type copier struct {
	std program.Std
	src *os.Root // never left, whatever symbolic links are put into it meanwhile
	dst *os.Root // the tree in the destination
	dir *os.File // the directory that dst is

	keep  *keep     // or nil
	since *previous // or nil

	entries []*entry // in the order of their names in directories, each after its own directory
	size    int64    // of all files, when they were listed

	mu      sync.Mutex // guards what follows
	lacking int
	special int
	done    int64
	read    int64 // where only changes were copied
}

// walk lists the source.
func (c *copier) walk(ctx context.Context) error {
	return walkTree(c.src, func(dir *os.Root, name string, fi fs.FileInfo, err error) error {
		if cerr := ctx.Err(); cerr != nil {
			return cerr
		}
		if err != nil && name == "." {
			return err
		}
		if err != nil {
			c.lack(name, err)
			return nil
		}
		e := &entry{Path: program.Name(name)}
		e.describe(fi)
		switch fi.Mode().Type() {
		case fs.ModeDir:
			if c.keep.is(fi) {
				return fs.SkipDir
			}
		case 0:
			c.size += fi.Size()
		case fs.ModeSymlink:
			target, err := dir.Readlink(path.Base(name))
			if err != nil {
				c.lack(name, err)
				return nil
			}
			e.Target = program.Name(target)
		default:
			c.special++
			fmt.Fprintf(c.std.Err, "backup: %s: left out: %s\n", program.Printable(name), fi.Mode())
			return nil
		}
		c.entries = append(c.entries, e)
		return nil
	})
}

// maxDepth is the number of directories that a file may lie below. Each access to a file takes a
// step for each of them, so a user who makes thousands could hold a backup up for hours, and
// walkTree a descriptor.
const maxDepth = 255

// A visit is called with each file of a tree: with the directory that it is in, which is open, and
// its name below the tree.
type visit func(dir *os.Root, name string, fi fs.FileInfo, err error) error

// walkTree calls f with each file of the tree in root, a directory before what is in it. If there
// is an error, f gets it, and no FileInfo, and what is there is left out; for a directory that
// cannot be read f is called a second time. If f returns fs.SkipDir for a directory, what is in it
// is left out. It does what fs.WalkDir does, which takes no names that are not UTF-8, and follows
// symbolic links that take the place of directories meanwhile.
func walkTree(root *os.Root, f visit) error { return walkBelow(root, ".", 0, f) }

// walkBelow does that for the file name of the tree, which is in the directory dir.
func walkBelow(dir *os.Root, name string, depth int, f visit) error {
	if depth > maxDepth {
		return f(dir, name, nil, fmt.Errorf("below more than %d directories", maxDepth))
	}
	fi, err := dir.Lstat(path.Base(name))
	if err != nil {
		return f(dir, name, nil, err)
	}
	if err := f(dir, name, fi, nil); err != nil || !fi.IsDir() {
		if errors.Is(err, fs.SkipDir) {
			return nil
		}
		return err
	}
	below, names, err := listSame(dir, path.Base(name), fi)
	if err != nil {
		return f(dir, name, nil, err)
	}
	defer below.Close()
	slices.Sort(names)
	for _, base := range names {
		if err := walkBelow(below, path.Join(name, base), depth+1, f); err != nil {
			return err
		}
	}
	return nil
}

// listSame opens the directory name in dir that fi describes, and returns the names in it.
func listSame(dir *os.Root, name string, fi fs.FileInfo) (*os.Root, []string, error) {
	below, err := openBelow(dir, name)
	if err != nil {
		return nil, nil, err
	}
	now, err := below.Stat(".")
	if err == nil && !os.SameFile(now, fi) {
		err = errors.New("replaced meanwhile")
	}
	var names []string
	if err == nil {
		names, err = namesIn(below, ".")
	}
	if err != nil {
		return nil, nil, errors.Join(err, below.Close())
	}
	return below, names, nil
}

// say prints a message about a file.
func (c *copier) say(e *entry, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.std.Err, "backup: %s: %s\n", program.Printable(string(e.Path)), program.Printable(what))
}

// lack notes that a file will not be in the copy.
func (c *copier) lack(name string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("vanished")
	}
	c.lackOf(name, "left out: "+err.Error())
}

// lackOf notes that something of a file is not in the copy.
func (c *copier) lackOf(name, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lacking++
	fmt.Fprintf(c.std.Err, "backup: %s: %s\n", program.Printable(name), program.Printable(what))
}
