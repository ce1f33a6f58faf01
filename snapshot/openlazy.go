package snapshot

import (
	"context"
	"errors"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/lease"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// openFile makes a snapshot of src, whose directory lies at p, and closes the descriptor of src.
func (c Config) openFile(
	ctx context.Context, src privatefile.Source, p *pathname.Location, name string,
) (*Mmap, error) {
	if c.Lazy {
		m, took, err := c.openLazy(ctx, src, p, name)
		if took || m != nil || err != nil {
			if !took {
				_ = syscalls.Close(src.FD)
			}
			return m, err
		}
	}
	defer syscalls.Close(src.FD)
	return c.copyFile(ctx, src, name)
}

// copyFile makes a snapshot of src by a private copy.
func (c Config) copyFile(ctx context.Context, src privatefile.Source, name string) (*Mmap, error) {
	copied, err := c.options(true).Copy(ctx, src, false)
	if err != nil {
		return nil, err
	}
	return c.newMmap(copied, name, src.Stat)
}

// openLazy makes a snapshot of src by a lease, or by a reflink, which is stronger. If it returns
// neither a snapshot nor an error, the file has to be opened without Lazy. If took is true, the
// descriptor of src is not the caller's any more.
func (c Config) openLazy(
	ctx context.Context, src privatefile.Source, p *pathname.Location, name string,
) (m *Mmap, took bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	if src.Stat.Size <= privatefile.SmallSize && !c.NoCopy {
		return nil, false, nil
	}
	if magic, err := src.FSType(); err != nil || magic == syscalls.XFS {
		clone := c
		clone.NoCopy = true
		m, err := clone.copyFile(ctx, src, name)
		// Of XFS without reflinks, the directory of the file says EOPNOTSUPP, and no other place.
		if err == nil || !errors.Is(err, syscall.EOPNOTSUPP) {
			return m, false, nil
		}
	}
	leased, took, err := lease.Open(ctx, src, c.options(true))
	if err != nil {
		if !took {
			err = ctx.Err()
		}
		return nil, took, err
	}
	if took {
		p.DirFD = pathname.NoDir // it is part of the snapshot
	}
	m = &Mmap{config: c, source: source{
		name: name, stat: leased.Stat(), method: Lease, settled: true,
		region: leased.Region(), leased: leased,
	}}
	if onOpen != nil {
		onOpen(false)
	}
	return m, took, nil
}
