package privatefile

import (
	"context"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// CopyUnderLease makes a private file with the first src.Stat.Size bytes of src, at the first
// candidate that can hold it. The caller has a read lease on src and finds out whether it lasted, and
// whether src has changed in spite of it: CopyUnderLease looks at neither.
func (o Options) CopyUnderLease(ctx context.Context, src Source) (p File, err error) {
	err = o.search(src.Dir(), 0, src.Stat.Size, false, func(u Unnamed) (err error) {
		made := false
		defer func() {
			if !made {
				_ = syscalls.Close(u.FD)
			}
		}()
		err = NewCopier(ctx, nil).Copy(u.FD, src.FD, src.Stat.Size, src.Exclusive)
		if err == nil && u.place == memory {
			err = sys.Seal(u.FD)
		}
		own := syscalls.Stat{}
		if err == nil {
			own, err = sys.Fstat(u.FD)
		}
		if err == nil {
			err = checkCopy(own)
		}
		made = err == nil
		p = File{u, nil, own.Size, leasedCopy, true, own.UID}
		return err
	})
	return p, err
}
