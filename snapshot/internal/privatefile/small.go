package privatefile

import (
	"context"
	"errors"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// readOnce reads src, under the lease l, if there is one, which it gives up. It waits for nothing.
func (o Options) readOnce(src Source, l *lease) ([]byte, error) {
	leased := l.fd >= 0
	defer l.release()
	contents, err := readAll(src.FD, src.Stat.Size)
	if err != nil {
		return nil, err
	}
	if o.Progress != nil {
		o.Progress(src.Stat.Size, src.Stat.Size)
	}
	// Even under a lease: truncation through an overlay, or by open(2) with O_RDONLY|O_TRUNC, does
	// not wait for it.
	now, err := sys.Fstat(src.FD)
	if err != nil {
		return nil, err
	}
	if !pathname.SameVersion(src.Stat, now) {
		return nil, errChanged
	}
	if leased && !l.release() {
		return nil, errLeaseBroken
	}
	return contents, nil
}

// readAll reads a file of size bytes. The error is errShort if it is shorter.
func readAll(fd int, size int64) ([]byte, error) {
	contents := make([]byte, size)
	for done := 0; done < len(contents); {
		n, err := sys.Pread(fd, contents[done:], int64(done))
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, errShort
		}
		done += n
	}
	return contents, nil
}

// tmpfile makes an unnamed file in the directory of src.
func (o Options) tmpfile(src Source) (int, error) {
	if src.DirName != nil {
		if name := src.DirName(); name != "" {
			return sys.TmpfileExclAt(syscalls.AtFdcwd, name, 0)
		}
	}
	return o.create(beside, src.Dir(), 0, src.Stat.Size)
}

// neverClones reports whether the filesystem of src is one that has no reflinks.
func (src Source) neverClones() bool {
	magic, err := src.FSType()
	return err == nil && (magic == syscalls.Ext4 || magic == syscalls.Tmpfs)
}

// errNotSmall is the error for a file that has grown.
var errNotSmall = errors.New("the file is no longer small")

// readStable is copyStable to memory.
func (o Options) readStable(ctx context.Context, src Source) (contents []byte, r result, err error) {
	r, err = o.copyStable(ctx, src, func(w *Copier, size int64) (err error) {
		if size > SmallSize {
			return errNotSmall
		}
		if contents, err = readAll(src.FD, size); err != nil {
			return err
		}
		w.report(size, size)
		return nil
	})
	return contents, r, err
}
