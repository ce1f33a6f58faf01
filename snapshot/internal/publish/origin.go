package publish

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/pathname"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// An Origin is the file that a snapshot was made of, or that it was last committed as.
type Origin struct {
	At *pathname.Location // its place. FD is a descriptor of the file, or -1 if none could be had

	// Perm is the mode of a file that is new in every respect. Its set-id bits stay on later
	// versions, too, if they are the caller's.
	Perm uint32

	// Chmod, if not nil, is the mode of the next version at At, whatever the umask and the mode of
	// the file that it replaces.
	Chmod *uint32

	// Stat and known describe the file as it was then. They are nil as long as there was none.
	Stat  *syscalls.Stat
	known *Attributes

	// HasCopied, if not nil, reports whether a file has the contents that were copied: the times of
	// the origin do not tell whether it was written to while it was copied.
	HasCopied func(ctx context.Context, fd int) (bool, error)

	needTempName bool // files without a name cannot be published here
}

// NewOrigin is the file at the place p, whose attributes are a, or without a file none yet.
func NewOrigin(p *pathname.Location, a *Attributes) Origin {
	o := Origin{At: p, known: a}
	if p.FD >= 0 {
		o.Stat = &p.Stat
	}
	return o
}

// set makes a new file the origin, and takes file over: a descriptor of OpenPath of it, or -1.
func (o *Origin) set(stat syscalls.Stat, a *Attributes, file int) {
	o.Stat, o.known, o.HasCopied, o.Chmod = &stat, a, nil, nil
	o.At.CloseFD()
	o.At.FD = file
}

// location is where the origin was then, with what fstat says of it now, or else said then. It
// holds no descriptor of its own.
func (o *Origin) location() pathname.Location {
	own := pathname.Location{DirFD: o.At.DirFD, Name: o.At.Name, FD: o.At.FD, Stat: *o.Stat}
	if now, err := sys.Fstat(own.FD); err == nil {
		own.Stat = now
	}
	return own
}

// OpenReadWrite opens the origin for writing, by its descriptor, or else by its name. Leases of
// other processes it awaits.
func (o *Origin) OpenReadWrite(ctx context.Context) (int, error) {
	own := o.location()
	fd, err := syscalls.AwaitLease(ctx, func() (int, error) {
		return own.Reopen(sys.ReopenReadWrite, sys.OpenReadWrite)
	})
	return fd, pathname.OfName(err)
}

// compareContents returns ErrConflict if HasCopied reports that the origin has other contents.
func (o *Origin) compareContents(ctx context.Context) error {
	if o.HasCopied == nil {
		return nil
	}
	own := o.location()
	fd, err := syscalls.AwaitLease(ctx, func() (int, error) {
		return own.Reopen(sys.Reopen, sys.OpenRead)
	})
	if pathname.IsUnreachable(err) || pathname.IsGone(err) {
		return errMoved
	}
	if err != nil {
		return pathname.OfName(err)
	}
	defer syscalls.Close(fd)
	same, err := o.HasCopied(ctx, fd)
	if err == nil && !same {
		err = conflict("a process was writing to the file when it was opened")
	}
	return err
}

// Find returns an error if the name does not lead to the origin, with unchanged set also if that
// has been changed.
func (o *Origin) Find(unchanged bool) error {
	t, err := o.find(o.At, unchanged)
	if err != nil {
		return err
	}
	t.CloseFD()
	if !t.isOrigin {
		return errMoved
	}
	return nil
}

// A target is what one look at the name of a publication finds. The name can lead to another file a
// moment later. Therefore all questions about the file, whether it is the expected one, who owns
// it, which attributes it has, are answered by this one descriptor.
type target struct {
	pathname.Location      // FD is -1 if the name is free
	isOrigin          bool // the file is the origin
}

// find opens what has a name now. If unchanged is set, anything but the origin, unchanged, is
// ErrConflict. The caller closes the target's file.
func (o *Origin) find(to *pathname.Location, unchanged bool) (target, error) {
	t := target{Location: pathname.Location{DirFD: to.DirFD, Name: to.Name, FD: -1}}
	err := t.OpenPathOnce()
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
		if unchanged {
			err = errMoved
		}
	} else if err == nil {
		err = o.recognize(&t, unchanged)
	}
	if err != nil {
		t.CloseFD()
	}
	if errors.Is(err, syscall.ESTALE) {
		err = retry.Transient(err) // replaced since the look, on a server that goes by names
	}
	return t, pathname.OfName(err)
}

// recognize compares the target's file, which is open, with the origin.
func (o *Origin) recognize(t *target, unchanged bool) error {
	if unchanged {
		now, err := sys.FstatSync(t.FD)
		switch {
		case pathname.IsGone(err), err == nil && !pathname.SameInode(*o.Stat, now):
			return errMoved
		case err == nil && !pathname.SameVersion(*o.Stat, now):
			return errChanged
		}
		if err != nil {
			return err
		}
	}
	if o.At.FD < 0 {
		return nil
	}
	// invariant: an inode number belongs to one file as long as a descriptor of that file is open.
	expected, err := sys.Fstat(o.At.FD)
	if pathname.IsGone(err) {
		return nil
	}
	t.isOrigin = err == nil && pathname.SameInode(expected, t.Stat)
	return err
}

// attributes returns those of the origin, wherever it is now, or nil if there was none yet.
func (o *Origin) attributes() (*Attributes, error) {
	if o.Stat == nil {
		return nil, nil
	}
	var a *Attributes
	own, err := o.location(), pathname.Unreachable(fs.ErrNotExist)
	if own.FD >= 0 {
		a, err = AttributesOf(&own)
	}
	if pathname.IsUnreachable(err) && o.known != nil {
		then := *o.known
		a, err = &then, nil
		a.UID, a.GID, a.Perm = own.Stat.UID, own.Stat.GID, own.Stat.Perm
	}
	if err != nil {
		return nil, err
	}
	return o.keep(a, true), nil
}

// setID is the bits of a mode that give whoever executes the file its owner or group.
const setID = 0o6000

// keep returns the attributes without the set-id bits that contents of this snapshot must not get.
// Bits that the caller asked for (Config.Perm) stay on a file of the caller's own. Bits of the
// origin stay if this process has CAP_FSETID over it. Bits of any other file do not stay.
func (o *Origin) keep(a *Attributes, origin bool) *Attributes {
	drop := a.Perm & setID
	if drop != 0 && a.UID == uint32(os.Geteuid()) {
		drop &^= o.Perm
	}
	if drop == 0 || origin && pathname.CapableOver(syscalls.CapFsetid, a.UID, a.GID) {
		return a
	}
	kept := *a
	kept.Perm &^= drop
	return &kept
}
