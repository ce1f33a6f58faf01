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

	entries []*entry // in the order of their names in directories, each after its own directory
	size    int64    // of all files, when they were listed

	mu      sync.Mutex // guards what follows
	lacking int
	special int
	done    int64
}

// walk lists the source.
func (c *copier) walk(ctx context.Context) error {
	return walkTree(c.src, ".", func(name string, fi fs.FileInfo, err error) error {
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
		case 0:
			c.size += fi.Size()
		case fs.ModeSymlink:
			target, err := c.src.Readlink(name)
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

// walkTree calls f with each file of the tree name in root, a directory before what is in it. If
// there is an error, f gets it, and no FileInfo, and what is there is left out; for a directory
// that cannot be read f is called a second time. It does what fs.WalkDir does, which takes no names
// that are not UTF-8.
func walkTree(root *os.Root, name string, f func(name string, fi fs.FileInfo, err error) error) error {
	fi, err := root.Lstat(name)
	if err != nil {
		return f(name, nil, err)
	}
	if err := f(name, fi, nil); err != nil || !fi.IsDir() {
		return err
	}
	dir, err := root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return f(name, nil, err)
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return f(name, nil, err)
	}
	slices.Sort(names)
	for _, below := range names {
		if err := walkTree(root, path.Join(name, below), f); err != nil {
			return err
		}
	}
	return nil
}

// lack notes that a file will not be in the copy.
func (c *copier) lack(name string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lacking++
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("vanished")
	}
	fmt.Fprintf(c.std.Err, "backup: %s: left out: %s\n", program.Printable(name), program.Printable(err.Error()))
}

// makeTree makes the tree in the destination, and its directories, writable for now. The caller
// calls close if there is no error.
func (c *copier) makeTree(destination *os.Root) (err error) {
	if err := destination.Mkdir(treeName, 0o700); err != nil {
		return err
	}
	if c.dst, err = destination.OpenRoot(treeName); err != nil {
		return err
	}
	if c.dir, err = c.dst.Open("."); err != nil {
		return errors.Join(err, c.dst.Close())
	}
	for _, e := range c.entries {
		if e.isDir() && e.Path != "." {
			if err := c.dst.Mkdir(string(e.Path), 0o700); err != nil {
				c.close()
				return err
			}
		}
	}
	return nil
}

func (c *copier) close() {
	_ = c.dir.Close()
	_ = c.dst.Close()
}

// finishDirectories gives the directories what they had, those inside first: to change something
// in a directory changes its times, and its mode may forbid it.
func (c *copier) finishDirectories() error {
	for i := len(c.entries) - 1; i >= 0; i-- {
		if e := c.entries[i]; e.isDir() {
			if err := c.setAttributes(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// setAttributes gives what was copied under the name of e owner, mode and times of e.
func (c *copier) setAttributes(e *entry) error {
	name := string(e.Path)
	if uid, gid, ok := owner(e.info); ok && os.Geteuid() == 0 {
		if err := c.dst.Lchown(name, uid, gid); err != nil { // before the mode, of which it clears bits
			return err
		}
	}
	if e.isSymlink() {
		return nil // has no mode, and package os cannot set its times
	}
	if err := c.dst.Chmod(name, e.info.Mode()); err != nil {
		return err
	}
	return c.dst.Chtimes(name, e.ModTime, e.ModTime)
}
