package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

// extract writes the members below dir. A member that cannot be written is not there
// afterwards, and does not keep the others from being written.
func extract(ctx context.Context, std program.Std, dir string, members []*zip.File) (err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	// Names in an archive may say "../../etc/passwd", or lead through a symbolic link. An
	// os.Root follows neither out of the directory.
	root, err := os.OpenRoot(dir + "/.") // a FIFO is an error, and not waited for
	if err != nil {
		return err
	}
	defer root.Close()

	var done, total int64 // limit.Check has seen that they are not too large
	for _, f := range members {
		total += int64(f.UncompressedSize64)
	}
	update, end := std.Progress("extracting")
	defer end()
	var errs []error
	for _, f := range members {
		err := extractMember(ctx, root, f, func(n int) {
			done += int64(n)
			update(done, total)
		})
		if ctx.Err() != nil {
			return ctx.Err() // err may be nil, and there are more members
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// maxDepth is the number of directories that a member may lie below: a name of 64 KiB can have
// 32 000.
const maxDepth = 255

func extractMember(ctx context.Context, root *os.Root, f *zip.File, copied func(n int)) error {
	name := strings.TrimSuffix(f.Name, "/")
	switch mode := f.Mode(); {
	case name != path.Clean(name) || !filepath.IsLocal(filepath.FromSlash(name)) || strings.Contains(name, `\`):
		return fmt.Errorf("%s: not extracted: not a name below a directory", program.Printable(f.Name))
	case strings.Count(name, "/") > maxDepth:
		return fmt.Errorf("%s: not extracted: below more than %d directories", program.Printable(f.Name), maxDepth)
	case mode.IsDir():
		return root.MkdirAll(name, 0o777)
	case !mode.IsRegular():
		// A symbolic link is the one that matters: what is extracted later could go through it.
		return fmt.Errorf("%s: not extracted: not a regular file but %v", program.Printable(f.Name), mode.Type())
	}
	if err := root.MkdirAll(path.Dir(name), 0o777); err != nil {
		return err
	}
	// O_EXCL: nothing is replaced, and no link followed that has that name.
	dst, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.Mode().Perm())
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: exists, and is not replaced", program.Printable(f.Name))
	}
	if err != nil {
		return err
	}
	err = errors.Join(copyMember(ctx, dst, f, copied), dst.Close())
	if err == nil && !f.Modified.IsZero() {
		err = root.Chtimes(name, f.Modified, f.Modified)
	}
	if err != nil {
		return errors.Join(err, root.Remove(name))
	}
	return nil
}
