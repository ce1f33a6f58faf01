package snapshot

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/publish"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// Link gives a copy of the contents a new name, durably: by reflink where the filesystem has them,
// unless the contents are in memory. It needs no permission for the file that the snapshot was made
// of. The new file is as Create makes it: owner and group are those of the process, the mode is
// Config.Perm before the umask, and nothing of the old file is taken over. The name is looked up
// below Config.Root, if that is set. The error is fs.ErrExist if the name is taken. With
// Config.NoCopy, it is errors.ErrUnsupported if there can be no reflink.
//
// A name is there with all contents, or not at all, also after a crash. If the kernel could not
// write the private copy to the disk, or cannot read it back, Link fails. If Close is called
// meanwhile, Link fails with fs.ErrClosed or completes.
func (m *Mmap) Link(name string) error { return m.LinkContext(context.Background(), name) }

// LinkContext is Link, given up if the context ends: see [MmapMut.CommitContext].
func (m *Mmap) LinkContext(ctx context.Context, name string) error {
	if !m.isValid() {
		return fs.ErrInvalid
	}
	return linkError("link", m.name, name, m.link(ctx, name))
}

func (m *Mmap) link(ctx context.Context, name string) error {
	if m.closed.Load() {
		return fs.ErrClosed
	}
	to, err := lookupFree(m.config.Root, name)
	if err != nil {
		return err
	}
	defer to.Close()
	_, err = publish.Publish(ctx, publish.Request{
		Origin:  &publish.Origin{Perm: m.config.perm()}, // the file is new in every respect
		To:      to,
		Replace: publish.ReplaceNone,
		NoSync:  m.config.NoSync,
		Fill:    m.copyTo,
	})
	return err
}

// lookupFree looks up a name that no file may have.
func lookupFree(root *os.Root, name string) (*pathname.Location, error) {
	to, err := pathname.Lookup(root, name, true)
	if err == nil && to.FD >= 0 {
		to.Close()
		return nil, syscall.EEXIST
	}
	return to, err
}

// copyTo fills the empty file dst with the contents.
func (m *Mmap) copyTo(ctx context.Context, dst int) error {
	region, err := m.private()
	if err != nil {
		return err
	}
	return region.Use(func(src int, contents []byte) error {
		if src < 0 {
			return m.writeContents(ctx, dst, contents)
		}
		// As in MmapMut.copyTo. The data of a reflink were never dirty.
		if m.method == Reflink {
			return cloneOrCopy(ctx, m.config, dst, src, m.size())
		}
		if err := region.Writeback(sys.WritebackAndWait); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		err := cloneOrCopy(ctx, m.config, dst, src, m.size())
		return cmp.Or(region.Writeback(sys.WritebackError), err)
	})
}

// writeContents writes contents in Go memory to the empty file dst.
func (m *Mmap) writeContents(ctx context.Context, dst int, contents []byte) error {
	for done := 0; done < len(contents); {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := sys.Pwrite(dst, contents[done:], int64(done))
		if err != nil {
			return err
		}
		done += n
	}
	return nil
}

// cloneOrCopy makes the empty file dst a reflink of src, which has size bytes, or copies the data
// if there can be no reflink.
func cloneOrCopy(ctx context.Context, c Config, dst, src int, size int64) error {
	err := privatefile.CloneExact(ctx, dst, src, size)
	if errors.Is(err, errors.ErrUnsupported) && !c.NoCopy {
		return privatefile.NewCopier(ctx, c.Progress).Copy(dst, src, size, true)
	}
	return err
}
