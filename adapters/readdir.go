package adapters

import (
	"io/fs"
	"syscall"
)

// Readdir returns syscall.ENOTDIR, as that of an *os.File that is no directory. With it, a Reader is
// an http.File.
func (r *Reader) Readdir(int) ([]fs.FileInfo, error) {
	if !r.isValid() {
		return nil, fs.ErrInvalid
	}
	return nil, notDirectory(r.src)
}

// Readdir returns syscall.ENOTDIR, as that of an *os.File that is no directory.
func (f *File) Readdir(int) ([]fs.FileInfo, error) {
	if !f.isValid() {
		return nil, fs.ErrInvalid
	}
	return nil, notDirectory(f.m)
}

// Readdirnames returns syscall.ENOTDIR, as Readdir. With both, a File is an afero.File.
func (f *File) Readdirnames(int) ([]string, error) {
	if !f.isValid() {
		return nil, fs.ErrInvalid
	}
	return nil, notDirectory(f.m)
}

func notDirectory(src Source) error {
	if err := check("readdirent", src); err != nil {
		return err
	}
	return &fs.PathError{Op: "readdirent", Path: src.Name(), Err: syscall.ENOTDIR}
}
