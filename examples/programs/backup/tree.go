package main

import (
	"context"
	"errors"
	"os"
	"path"
	"slices"
	"syscall"
)

// makeTree makes the tree in the destination, and its directories, writable for now. A directory
// that cannot be made is left out, with all that is below it.
func (c *copier) makeTree(destination *os.Root) (err error) {
	if err := destination.Mkdir(treeName, 0o700); err != nil {
		return err
	}
	if c.dst, err = openBelow(destination, treeName); err != nil {
		return err
	}
	if c.dir, err = c.dst.Open("."); err != nil {
		return err
	}
	kept, missing := c.entries[:0], map[string]bool{}
	for _, e := range c.entries {
		name, err := string(e.Path), error(nil)
		switch {
		case name == ".":
		case missing[path.Dir(name)]:
			err = errors.New("its directory is left out")
		case e.isDir():
			if err = c.dst.Mkdir(name, 0o700); err != nil && !refusesFile(err) {
				return err
			}
		}
		if err != nil {
			missing[name] = true
			c.lack(name, err)
			continue
		}
		kept = append(kept, e)
	}
	c.entries = kept
	return nil
}

// refusesFile reports whether an error of the destination is about this file alone: its
// filesystem does not take the name, the target of a symbolic link, the size, or another directory.
func refusesFile(err error) bool {
	for _, errno := range []error{syscall.ENAMETOOLONG, syscall.EINVAL, syscall.EILSEQ,
		syscall.EFBIG, syscall.EMLINK} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// finishDirectories gives the directories what they had, those inside first: to change something
// in a directory changes its times, and its mode may forbid it.
func (c *copier) finishDirectories(ctx context.Context) error {
	for _, e := range slices.Backward(c.entries) {
		if e.isDir() {
			if err := c.setAttributes(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// openDirectories makes the directories writable again, so that they can be removed.
func (c *copier) openDirectories() {
	if c.dst == nil {
		return
	}
	for _, e := range c.entries {
		if e.isDir() {
			_ = c.dst.Chmod(string(e.Path), 0o700)
		}
	}
}

func (c *copier) close() {
	c.keep.close()
	c.since.close()
	if c.dir != nil {
		_ = c.dir.Close()
	}
	if c.dst != nil {
		_ = c.dst.Close()
	}
}
