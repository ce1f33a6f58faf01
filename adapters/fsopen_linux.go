package adapters

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// lookUp returns the file that name leads to, without opening it: a FIFO does not block, a
// device does not notice. What is then opened is this very file, whatever becomes of the name.
//
// Root follows links in the directories of name. The last one has to be followed here, because
// O_PATH with O_NOFOLLOW, which Root adds, opens the link itself.
func lookUp(root *os.Root, name string) (*os.File, syscalls.Stat, error) {
	for range syscalls.MaxLinks {
		f, err := root.OpenFile(name, syscalls.OPath, 0)
		if err != nil {
			return nil, syscalls.Stat{}, err
		}
		st, err := syscalls.Fstat(int(f.Fd()))
		if err == nil && st.Mode.Type() != fs.ModeSymlink {
			return f, st, nil
		}
		_ = f.Close()
		if errors.Is(err, fs.ErrNotExist) {
			err = syscall.ESTALE // it was there a moment ago
		}
		if err != nil {
			return nil, syscalls.Stat{}, err
		}
		target, err := root.Readlink(name)
		switch {
		case errors.Is(err, syscall.EINVAL): // no link any more
		case err != nil:
			return nil, syscalls.Stat{}, err
		case strings.HasPrefix(target, "/"):
			name = target // Root has the error for it
		default:
			// Not path.Join: ".." behind a link means the directory that the link leads to.
			name = name[:strings.LastIndexByte(strings.TrimRight(name, "/"), '/')+1] + target
		}
	}
	return nil, syscalls.Stat{}, syscall.ELOOP
}

// openDir opens a directory, and nothing that is none.
func openDir(root *os.Root, name string) (*os.File, error) {
	return root.OpenFile(name, os.O_RDONLY|syscall.O_DIRECTORY, 0)
}

// reopen opens for reading the regular file that lookUp found. fs.FS has no context, so a lease of
// another process is awaited for as long as AwaitLease does at most.
func reopen(found *os.File) (*os.File, error) {
	fd, err := syscalls.AwaitLease(context.Background(), func() (int, error) {
		fd, err := syscalls.Reopen(int(found.Fd()))
		// FS names the call, and os.IsPermission knows no error within a SyscallError.
		if e, ok := errors.AsType[*os.SyscallError](err); ok {
			err = e.Err
		}
		return fd, err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), found.Name()), nil
}
