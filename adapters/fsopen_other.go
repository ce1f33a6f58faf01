//go:build !linux

package adapters

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

var errOther = fmt.Errorf("needs Linux: %w", errors.ErrUnsupported)

// Off Linux there are directories, but no snapshots.

func lookUp(root *os.Root, _ *os.File, name string) (*os.File, syscalls.Stat, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, syscalls.Stat{}, err
	}
	if info.Mode().IsRegular() {
		err = errOther
	}
	return nil, syscalls.Stat{Mode: info.Mode()}, err
}

func openBase(root *os.Root) (*os.File, error) { return root.Open(".") }

func openDir(root *os.Root, _ *os.File, name string) (*os.File, error) { return root.Open(name) }

func hasProc(*os.File) bool { return true }

func isOf(*snapshot.Mmap, *os.File) bool { return false }

func (f *FS) stat(name string) (fs.FileInfo, string, error) {
	info, err := f.root.Stat(name)
	return info, "", err
}
