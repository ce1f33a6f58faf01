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
func inode(fs.FileInfo) uint64                  { return 0 }
func filesystemID(*os.File) (uint64, error)     { return 0, errors.ErrUnsupported }
func punchHole(*os.File, int64, int64) error    { return errors.ErrUnsupported }
func nameOf(f *os.File) string                  { return f.Name() }

const nonblock = 0
