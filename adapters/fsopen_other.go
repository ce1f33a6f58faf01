//go:build !linux

package adapters

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// Elsewhere there are directories, but no snapshots.

func lookUp(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	info, err := root.Stat(name)
	return nil, info, err
}

func openDir(root *os.Root, name string) (*os.File, error) { return root.Open(name) }

func reopen(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }

type identity struct{ dev, ino uint64 }

func identify(fs.FileInfo) (id identity, changed time.Time, ok bool) { return }
