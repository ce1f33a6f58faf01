package adapters_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// dropIn is a program for package os: open, create and openFile are its functions. It writes a file of
// records behind a header, which it fills in at the end, appends to it, changes it in the middle,
// and copies a part of it.
func dropIn[R readFile, W file](
	dir string,
	open func(name string) (R, error),
	create func(name string) (W, error),
	openFile func(name string, flag int, perm fs.FileMode) (W, error),
) (err error) {
	name := filepath.Join(dir, "records")
	f, err := create(name)
	if err != nil {
		return err
	}
	if _, err := f.Write(make([]byte, 8)); err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for i := range 5000 {
		_, _ = fmt.Fprintf(w, "record %d\n", i*i)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := binary.Write(f, binary.LittleEndian, size); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}

	log, err := openFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if _, err := log.WriteString("the last one\n"); err != nil {
		return err
	}
	if err := log.Close(); err != nil {
		return err
	}

	edit, err := openFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer edit.Close() // a second time
	if _, err := edit.WriteAt([]byte("RECORD"), 8); err != nil {
		return err
	}
	if err := edit.Close(); err != nil {
		return err
	}

	src, err := open(name)
	if err != nil {
		return err
	}
	defer src.Close()
	if _, err := src.Seek(-10_000, io.SeekEnd); err != nil {
		return err
	}
	dst, err := openFile(filepath.Join(dir, "part"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	if err := dst.Close(); err != nil {
		return err
	}
	empty, err := create(filepath.Join(dir, "empty"))
	if err != nil {
		return err
	}
	return empty.Close()
}

// A program leaves the same files if os.Open, os.Create and os.OpenFile become adapters.Open,
// adapters.Create and adapters.OpenFile, and nothing else changes.
//
//promise:adapters.Create a program that creates, writes, seeks and closes leaves the same bytes
//promise:adapters.Open a program that opens, seeks, copies and closes leaves the same bytes
//promise:adapters.OpenFile a program that appends and edits leaves the same bytes
//promise:adapters.File.Close Close publishes what was written
func TestProgram(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
		for _, dir := range []string{ours, theirs} {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := dropIn(theirs, os.Open, os.Create, os.OpenFile); err != nil {
			t.Fatal(err)
		}
		supported(t, dropIn(ours, adapters.Open, adapters.Create, adapters.OpenFile))
		names := mounttest.NamesIn(t, theirs)
		mounttest.WantNames(t, ours, names...)
		for _, name := range names {
			want, err := os.ReadFile(filepath.Join(theirs, name))
			if err != nil {
				t.Fatal(err)
			}
			mounttest.WantFile(t, filepath.Join(ours, name), want)
			sameMode(t, filepath.Join(ours, name), filepath.Join(theirs, name))
		}
	})
}
