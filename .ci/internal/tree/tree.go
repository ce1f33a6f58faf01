// Package tree finds the root of the repository and the files below it.
package tree

import (
	"io/fs"
	"os"
	"path/filepath"
)

// Module is the path of the root module.
const Module = "github.com/mmapsnapshot/mmapsnapshot"

// Root returns the absolute path of the closest directory, from the working directory upwards, that
// has a go.mod file. For packages below .ci it is the root of the repository.
func Root() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", &fs.PathError{Op: "find go.mod above", Path: wd, Err: fs.ErrNotExist}
		}
	}
}

// Walk calls f with the slash-separated path, relative to root, of every regular file below root.
// It skips .git and each testdata.
func Walk(root string, f func(name string) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata"):
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return f(filepath.ToSlash(name))
	})
}
