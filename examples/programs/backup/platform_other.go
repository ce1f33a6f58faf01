//go:build !linux

package main

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

func owner(fs.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }
func links(fs.FileInfo) uint64                  { return 1 }
func changeTime(fs.FileInfo) time.Time          { return time.Time{} }
func syncFilesystem(*os.File) error             { return errors.ErrUnsupported }
func nameOf(f *os.File) string                  { return f.Name() }

const nonblock = 0
