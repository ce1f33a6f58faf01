package main

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// pack makes the zip archive name of the regular files below the directory source.
func pack(ctx context.Context, name, source string) error {
	return create(name, func(f *os.File) error {
		w := zip.NewWriter(f)
		err := filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
			if err := errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			if !d.Type().IsRegular() {
				return nil
			}
			rel, err := filepath.Rel(source, path)
			if err != nil {
				return err
			}
			return add(w, filepath.ToSlash(rel), path)
		})
		return errors.Join(err, w.Close())
	})
}

func add(w *zip.Writer, entry, path string) error {
	src, err := os.Open(path)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := w.Create(entry)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return err
}

// repack makes another version of an archive: the same files the other way round, except for
// every eighth. Like any other version it is a good archive, with everything at other offsets.
func repack(ctx context.Context, name, archive string) error {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer r.Close()
	return create(name, func(f *os.File) error {
		w := zip.NewWriter(f)
		for i, entry := range slices.Backward(r.File) {
			if i%8 == 0 {
				continue
			}
			if err := errors.Join(ctx.Err(), w.Copy(entry)); err != nil {
				return err
			}
		}
		return w.Close()
	})
}

// fill makes a file of size bytes with the contents of another, again and again. It is on the
// disk when fill returns, so that no measurement has to write it.
func fill(ctx context.Context, name, from string, size int64) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return create(name, func(f *os.File) error {
		for off := int64(0); off < size; {
			part := data[off%int64(len(data)):]
			n, err := f.Write(part[:min(int64(len(part)), size-off, 1<<20)])
			if err := errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			off += int64(n)
		}
		return f.Sync()
	})
}

// create makes the file name and has write fill it.
func create(name string, write func(f *os.File) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
