//go:build !linux

package main

import (
	"errors"
	"io/fs"
	"os"
)

func owner(fs.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }
func syncFilesystem(*os.File) error             { return errors.ErrUnsupported }
func nameOf(f *os.File) string                  { return f.Name() }

const nonblock = 0
