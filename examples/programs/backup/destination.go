package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

// A destination is the directory that backup makes. All that is written or removed is below one of
// its two descriptors, wherever the name leads meanwhile.
type destination struct {
	*os.Root          // the directory
	parent   *os.Root // where it was made
	base     string   // its name there
}

// makeDestination makes the directory name, for its owner alone.
func makeDestination(name string) (d *destination, err error) {
	dir, base := program.SplitName(name)
	d = &destination{base: base}
	if d.parent, err = openRoot(dir); err != nil {
		return nil, err
	}
	err = d.parent.Mkdir(d.base, 0o700)
	if err != nil {
		if bare := (*fs.PathError)(nil); errors.As(err, &bare) {
			err = &fs.PathError{Op: "mkdir", Path: name, Err: bare.Err}
		}
		return nil, errors.Join(err, d.parent.Close())
	}
	if d.Root, err = openBelow(d.parent, d.base); err != nil {
		return nil, errors.Join(err, d.parent.Remove(d.base), d.parent.Close())
	}
	if err := d.checkOwn(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), d.Root.Close(), d.parent.Close())
	}
	return d, nil
}

// checkOwn returns an error if the directory is not the one that was made: a user who may write to
// the parent can put another one there, into which that user may write, too. Where no other user
// can do that, the directory may have any owner and mode: some filesystems have one for all.
func (d *destination) checkOwn() error {
	fi, err := d.parent.Stat(".")
	if err != nil {
		return err
	}
	if ownersAlone(fi) {
		return nil
	}
	fi, err = d.Stat(".")
	if err != nil {
		return err
	}
	names, err := namesIn(d.Root, ".")
	if err != nil {
		return err
	}
	uid, _, ok := owner(fi)
	if ok && uid != os.Geteuid() || fi.Mode().Perm()&0o077 != 0 || len(names) > 0 {
		return errors.New("replaced by another directory since it was made")
	}
	return nil
}

// remove removes the directory with all that is in it. It removes nothing else: what has the name
// of the directory by now is removed only if it is the directory.
func (d *destination) remove() error {
	names, err := namesIn(d.Root, ".")
	for _, name := range names {
		err = errors.Join(err, d.RemoveAll(name))
	}
	made, serr := d.Stat(".")
	now, lerr := d.parent.Lstat(d.base)
	if serr != nil || lerr != nil || !os.SameFile(made, now) {
		return errors.Join(err, fmt.Errorf("%s was moved: an empty directory is left", d.base))
	}
	return errors.Join(err, d.parent.Remove(d.base))
}

func (d *destination) close() {
	_ = d.Root.Close()
	_ = d.parent.Close()
}
