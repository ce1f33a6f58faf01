package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

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
	return openRegular(ctx, func() (*os.File, error) {
		return root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	})
}

// openNoFollow is openFile for a file of the source. It follows no symbolic link, not even one
// below root: whoever replaces a directory by a link to another user's would get copies of the
// files there in a directory that may be open to all.
func openNoFollow(ctx context.Context, root *os.Root, name string) (*os.File, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	parts := strings.Split(name, "/")
	last := len(parts) - 1
	for _, part := range parts[:last] {
		fd, err := syscalls.OpenPath(int(dir.Fd()), part)
		if err != nil {
			return nil, withName(name, err)
		}
		_ = dir.Close()
		dir = os.NewFile(uintptr(fd), part) // a link is opened itself: nothing is below it
	}
	return openRegular(ctx, func() (*os.File, error) {
		fd, err := syscalls.OpenRead(int(dir.Fd()), parts[last])
		if err != nil {
			return nil, withName(name, err)
		}
		return os.NewFile(uintptr(fd), name), nil
	})
}

// withName puts the name of a file into the error of a system call.
func withName(name string, err error) error {
	if call := (*os.SyscallError)(nil); errors.As(err, &call) {
		return &fs.PathError{Op: call.Syscall, Path: name, Err: call.Err}
	}
	return err
}

// openRegular returns what open opens, if that is a regular file.
func openRegular(ctx context.Context, open func() (*os.File, error)) (*os.File, error) {
	f, err := syscalls.AwaitLease(ctx, open)
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
