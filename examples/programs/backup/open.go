package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// openRoot opens the directory name. os.OpenRoot would wait for the other end of a FIFO; a name
// that ends in "/." leads to a directory or is an error.
func openRoot(name string) (*os.Root, error) {
	if name != "" {
		name += "/."
	}
	return os.OpenRoot(name)
}

// openBelow opens the directory name below root, as openRoot does.
func openBelow(root *os.Root, name string) (*os.Root, error) { return root.OpenRoot(name + "/.") }

// openDir opens a directory below root for reading.
func openDir(root *os.Root, name string) (*os.File, error) {
	return root.OpenFile(name+"/.", os.O_RDONLY, 0)
}

// namesIn returns the names in a directory below root.
func namesIn(root *os.Root, name string) ([]string, error) {
	dir, err := openDir(root, name)
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	return names, errors.Join(err, dir.Close())
}

// openFile opens a regular file below root for reading. It does not wait for the other end of a
// FIFO that has taken the place of the file, and at most two seconds for a process that has a
// lease on the file.
func openFile(ctx context.Context, root *os.Root, name string) (*os.File, error) {
	f, err := syscalls.AwaitLease(ctx, func() (*os.File, error) {
		return root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	})
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = errors.New("no longer a regular file")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openSame opens the file or directory below root that fi describes.
func openSame(ctx context.Context, root *os.Root, name string, fi fs.FileInfo) (*os.File, error) {
	open := openFile
	if fi.IsDir() {
		open = func(_ context.Context, root *os.Root, name string) (*os.File, error) {
			return openDir(root, name)
		}
	}
	f, err := open(ctx, root, name)
	if err != nil {
		return nil, err
	}
	now, err := f.Stat()
	if err == nil && !os.SameFile(now, fi) {
		err = errors.New("replaced meanwhile")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
