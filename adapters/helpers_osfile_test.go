package adapters_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A readFile is what *os.File and Reader have in common, a file what *os.File and File have.
type readFile interface {
	fs.File
	io.ReadSeekCloser
	io.ReaderAt
	io.WriterTo
	Name() string
	Readdir(n int) ([]fs.FileInfo, error)
}

type file interface {
	readFile
	io.Writer
	io.WriterAt
	io.StringWriter
	io.ReaderFrom
	Truncate(size int64) error
	Sync() error
	Chmod(mode fs.FileMode) error
	Readdirnames(n int) ([]string, error)
}

// step makes a call with both files and compares what can be seen of it.
func step(t testing.TB, c call, ours, theirs readFile, ourName, theirName string) {
	t.Helper()
	n, data, err := c.do(ours)
	wantN, wantData, wantErr := c.do(theirs)
	if n != wantN || data != wantData || class(err, ourName) != class(wantErr, theirName) {
		t.Fatalf("%s: %d, %.20q, %q (%v)\n\t*os.File: %d, %.20q, %q (%v)", c.text,
			n, data, class(err, ourName), err, wantN, wantData, class(wantErr, theirName), wantErr)
	}
	at, err := ours.Seek(0, io.SeekCurrent)
	wantAt, wantErr := theirs.Seek(0, io.SeekCurrent)
	if at != wantAt || class(err, ourName) != class(wantErr, theirName) {
		t.Fatalf("cursor after %s: %d, %v\n\t*os.File: %d, %v", c.text, at, err, wantAt, wantErr)
	}
	if class(err, ourName) == "seek: "+fs.ErrClosed.Error() {
		return
	}
	sameContents(t, c.text, ours, theirs)
}

// class is what two errors must have in common: the operation and the path, and what errors.Is
// tells.
func class(err error, name string) string {
	if err == nil || err == io.EOF { //nolint:errorlint // io.EOF must never be wrapped
		return fmt.Sprint(err)
	}
	var text []string
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		text = append(text, e.Op)
		if e.Path != name {
			text = append(text, "of another file")
		}
		if e.Err.Error() == "negative offset" {
			return e.Op + ": negative offset"
		}
	}
	if strings.Contains(err.Error(), "invalid use of WriteAt") {
		return "invalid use of WriteAt"
	}
	for _, known := range []error{
		io.EOF, io.ErrShortWrite, fs.ErrClosed, fs.ErrInvalid, fs.ErrPermission,
		syscall.EINVAL, syscall.EFBIG, syscall.ENOSPC, syscall.EBADF, syscall.EFAULT,
		syscall.ENXIO, syscall.ENOTDIR, syscall.EISDIR,
		syscall.ENOENT, syscall.EEXIST, syscall.ELOOP, syscall.EACCES, errors.ErrUnsupported,
	} {
		if errors.Is(err, known) {
			return strings.Join(append(text, known.Error()), ": ")
		}
	}
	return err.Error()
}

func sameContents(t testing.TB, when string, ours, theirs io.ReaderAt) {
	t.Helper()
	got, err := io.ReadAll(io.NewSectionReader(ours, 0, math.MaxInt64))
	want, wantErr := io.ReadAll(io.NewSectionReader(theirs, 0, math.MaxInt64))
	if err != nil || wantErr != nil {
		t.Fatalf("contents after %s: %v\n\t*os.File: %v", when, err, wantErr)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("after %s the contents differ: %d bytes\n\t*os.File: %d", when, len(got), len(want))
	}
}

// sameMode compares what two names lead to.
func sameMode(t *testing.T, ours, theirs string) {
	t.Helper()
	for _, stat := range []func(name string) (fs.FileInfo, error){os.Lstat, os.Stat} {
		got, err := stat(ours)
		want, wantErr := stat(theirs)
		switch {
		case class(err, ours) != class(wantErr, theirs):
			t.Errorf("%v, not %v", err, wantErr)
		case err == nil && got.Mode() != want.Mode():
			t.Errorf("%s has mode %v, not %v", ours, got.Mode(), want.Mode())
		}
	}
}
