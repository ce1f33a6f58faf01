package publish

import (
	"context"
	"fmt"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// Replace says which file with the name a publication may replace.
type Replace int

const (
	// ReplaceSameAccess: the origin, or another file with the same owner, mode, ACL and labels.
	ReplaceSameAccess Replace = iota
	// ReplaceUnchanged: the origin, if it is unchanged.
	ReplaceUnchanged
	// ReplaceAny: any file. The new one gets its owner, mode and attributes.
	ReplaceAny
	// ReplaceNone: none, the name must be free.
	ReplaceNone
)

// A Request says what is to be published, and where.
type Request struct {
	Origin  *Origin
	To      *pathname.Location // Origin.At, or another place
	Replace Replace
	NoSync  bool // the directory need not reach the disk

	// Fill gives an empty file the contents. It is not called if Ready is set: a file that has
	// them.
	Fill  func(ctx context.Context, fd int) error
	Ready *Temporary
}

// guess returns what look will probably return, in most cases without looking at the name. It saves
// work if it is right, and fails early if the name leads to a file that must not be replaced.
func (r *Request) guess(ctx context.Context) (*Attributes, error) {
	o := r.Origin
	if r.To == o.At && o.Stat != nil && o.known != nil && o.At.FD >= 0 {
		// A change of its attributes, and another file in its place, change its change time.
		if now, err := sys.Fstat(o.At.FD); err == nil && now.Ctime.Equal(o.Stat.Ctime) {
			return r.chmod(o.keep(o.known, true)), nil
		}
	}
	return r.lookRetrying(ctx)
}

// lookRetrying is look, again after a pause if the error is transient.
func (r *Request) lookRetrying(ctx context.Context) (a *Attributes, err error) {
	err = retry.Do(ctx, func() error {
		a, err = r.look()
		return err
	})
	return a, err
}

// hasChmod reports whether Chmod holds for this publication.
func (r *Request) hasChmod() bool { return r.To == r.Origin.At && r.Origin.Chmod != nil }

// chmod returns the attributes with the mode that the new file is to get by Chmod, if any.
func (r *Request) chmod(a *Attributes) *Attributes {
	if a == nil || !r.hasChmod() {
		return a
	}
	changed := *a
	changed.Perm = *r.Origin.Chmod
	return &changed
}

// newPerm returns the mode with which a file is made that is new in every respect. No other user
// may open it, by a temporary name, before it has the mode of Chmod.
func (r *Request) newPerm() uint32 {
	if r.hasChmod() {
		return 0o600
	}
	return r.Origin.Perm
}

// newMode returns how to change the mode of a file that is new in every respect: the kernel takes
// set-id bits away when an ordinary user writes to it, and applies the umask.
func (r *Request) newMode() modeChange {
	if r.hasChmod() {
		return modeChange{clear: 0o7777, set: *r.Origin.Chmod}
	}
	return modeChange{set: r.Origin.Perm & setID}
}

// look returns the attributes that the new file is to have, as of now; nil, if it is new in every
// respect; or an error, if it must not get the name.
func (r *Request) look() (*Attributes, error) {
	a, err := r.lookAtName()
	return r.chmod(a), err
}

// lookAtName is look without Chmod.
func (r *Request) lookAtName() (*Attributes, error) {
	o := r.Origin
	if r.Replace == ReplaceNone {
		return o.attributes() // if a file has the name, the publication fails, whichever it is
	}
	t, err := o.find(r.To, r.Replace == ReplaceUnchanged)
	if err != nil {
		return nil, err
	}
	if t.FD < 0 {
		return o.attributes()
	}
	defer t.CloseFD()
	if !t.Stat.Mode.IsRegular() {
		return nil, pathname.NotRegular(t.Stat.Mode)
	}
	if r.Replace == ReplaceAny {
		if err := t.CheckSticky(); err != nil {
			return nil, err
		}
	}
	a, err := AttributesOf(&t.Location)
	if pathname.IsUnreachable(err) {
		return nil, retry.Transient(err) // as in find
	}
	if err == nil {
		a = o.keep(a, t.isOrigin || r.Replace != ReplaceAny)
	}
	if t.isOrigin || r.Replace == ReplaceAny {
		return a, err
	}
	// Another file has the name. If its owner and mode were taken over, whoever moved it there
	// would decide who may read, execute or own these contents; if those of the origin were,
	// contents could become readable that were made private meanwhile.
	var own *Attributes
	if err == nil {
		own, err = o.attributes()
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: another file has the name, and its owner and mode cannot be compared: %w",
			ErrConflict, err)
	case !own.SameAccess(a):
		return nil, conflict("another file has the name, with another owner, mode, ACL or security label")
	}
	return a, nil
}
