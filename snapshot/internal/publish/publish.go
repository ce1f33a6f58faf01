package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// tries is how often a publication begins anew, and how often the new file is given other
// attributes because those of the file that it replaces have changed.
const tries = 3

// errAnew means that another temporary file is needed. This one has the owner and mode of a file
// that was to be replaced and is gone, so that it cannot become what the kernel makes of a new
// file; or it had other attributes while it had a temporary name, so that another user may have
// opened it.
var errAnew = conflict("the file that has the name is removed, made or changed all the time")

// NeedsCopy reports whether a Ready file could not be published for a reason that need not hold for
// a file that Publish makes.
func NeedsCopy(err error) bool { return errors.Is(err, errAnew) || needsTempName(err) }

// Publish gives contents the name To. It reports whether it did; if so, err is nil, ErrNotDurable
// or that of closing a Ready file. If not, nothing has changed, but a Ready file may never get a
// name again. If To is the origin's place, the new file is the origin from then on.
func Publish(ctx context.Context, r Request) (published bool, err error) {
	tempName := r.Origin.needTempName
	for try := 1; ; try++ {
		var unnamed bool
		published, unnamed, err = r.publish(ctx, tempName)
		switch {
		case published:
			if r.To == r.Origin.At && r.Ready == nil {
				r.Origin.needTempName = tempName
			}
			return true, err
		case r.Ready != nil || try == tries:
			return false, err
		case unnamed && needsTempName(err):
			tempName = true
		case !errors.Is(err, errAnew):
			return false, err
		}
	}
}

// publish does that with one temporary file. It reports whether that was complete but for its
// attributes, and had no temporary name.
func (r *Request) publish(ctx context.Context, tempName bool) (published, unnamed bool, err error) {
	want, err := r.guess(ctx)
	if err != nil {
		return false, false, err
	}
	t := r.Ready
	if t == nil {
		if t, err = newTemporary(r.To, want, r.newPerm(), tempName); err != nil {
			return false, false, err
		}
		defer t.discard()
		if err := r.Fill(ctx, t.FD); err != nil {
			return false, false, err
		}
	}
	unnamed = t.Name == ""
	if want != nil && !unnamed {
		// Others can open it as soon as its attributes allow that: they must be more than a guess.
		if want, err = r.lookRetrying(ctx); err != nil {
			return false, false, err
		}
		if want == nil {
			return false, false, errAnew
		}
	}

	// The directory is opened before anything changes, so that lacking the permission to make it
	// durable leaves everything as it was.
	dirFD, err := sys.ReopenDir(r.To.DirFD)
	if err == nil {
		defer syscalls.Close(dirFD) // which unlocks it
	} else if !r.NoSync || r.Replace == ReplaceUnchanged {
		return false, unnamed, pathname.OfDir(r.To.DirFD, err)
	}

	var given *Attributes
	var stat syscalls.Stat
	t.Spent = true
	for try := 1; ; try++ {
		// The data reach the disk before the name, always: else a crash would leave zeros or an
		// empty file.
		if given, stat, err = t.complete(want, r.newMode()); err != nil {
			return false, unnamed, err
		}
		if r.Replace == ReplaceUnchanged && try == 1 {
			if err := r.Origin.compareContents(ctx); err != nil {
				return false, unnamed, err
			}
		}
		now, err := r.lockAndLook(ctx, dirFD)
		if err != nil {
			return false, unnamed, err
		}
		if now.Equal(want) {
			break
		}
		if now == nil || !unnamed {
			return false, unnamed, errAnew
		}
		if try == tries {
			return false, unnamed, errChanging
		}
		_ = sys.Funlock(dirFD) // other commits need not wait for the disk
		want = now
	}

	name := t.replace
	if r.Replace == ReplaceNone {
		name = t.link
	}
	file, err := name(r.To.Name, stat)
	if err != nil {
		if r.Replace == ReplaceNone && r.To == r.Origin.At && errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%w: %w", ErrConflict, pathname.OfName(err))
		}
		return false, unnamed, err
	}
	r.published(t, file, stat, given)
	// While the new file is open for writing, executing it is ETXTBSY and a lease on it EAGAIN.
	err = t.close()
	if r.NoSync {
		return true, unnamed, err
	}
	_ = sys.Funlock(dirFD)
	return true, unnamed, errors.Join(syncDir(dirFD), err)
}

// lockAndLook locks the directory and returns what look returns. Without the lock it goes on,
// unless the file must be unchanged.
func (r *Request) lockAndLook(ctx context.Context, dirFD int) (now *Attributes, err error) {
	err = retry.Do(ctx, func() error {
		err := LockDirectory(ctx, dirFD)
		if err != nil && r.Replace == ReplaceUnchanged {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if now, err = r.look(); err != nil {
			_ = sys.Funlock(dirFD) // others need not wait for the next attempt
		}
		return err
	})
	return now, err
}

// published makes the file t, which has its name, the origin if it is in the origin's place. file
// is a descriptor of OpenPath of it, or -1; stat and a describe it as it was before it got the
// name.
func (r *Request) published(t *Temporary, file int, stat syscalls.Stat, a *Attributes) {
	if r.To != r.Origin.At {
		if file >= 0 {
			_ = syscalls.Close(file)
		}
		return
	}
	// Naming it changed its change time. The rest is from when no other process could change it. If
	// it is different by now, the change time is that of a change, and must not look like ours.
	if after, err := sys.Fstat(t.FD); err == nil &&
		after.Perm == stat.Perm && after.UID == stat.UID && after.GID == stat.GID {
		stat.Ctime = after.Ctime
	}
	r.Origin.set(stat, a, file)
}
