package snapshot

import (
	"io/fs"
	"os"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
)

// Config says how snapshots are made and committed. The zero value holds the defaults; the
// functions [Open], [OpenMut], [Create], [FromFile], [FromFileMut] and [FromReaderAt] use it.
type Config struct {
	// Root, if not nil, is the directory that Open, OpenMut, Create, CommitTo and Link look their
	// names up below. A name never leads out of it, neither by symbolic links nor by "..", also
	// while other processes rename directories: the error is then the error of os.Root, "path
	// escapes from parent", as it is for an absolute name. A symbolic link that leads to a place
	// below Root is followed unless fs.protected_symlinks (proc(5)) or the mount option nosymfollow
	// (mount(8)) forbids it. The kernel looks a name up by one call (openat2(2), Linux 5.6), or
	// this package does it by some calls for each component. Then a name with more than 255
	// components is ENAMETOOLONG.
	//
	// A MmapMut stays with the directory that it opened: a Commit goes there wherever the directory
	// was moved, also after Root.Close. Open, OpenMut, Create, CommitTo and Link then return
	// fs.ErrClosed. TempDir is not below Root. FromFile and FromFileMut ignore Root.
	Root *os.Root

	// NoCopy makes opening fail with errors.ErrUnsupported where the data would have to be
	// copied, because the filesystem has no reflinks, or because the copy has to go to another.
	// A small file is a Reflink, or an error.
	// It does the same for commits and for Link, CommitAndClose excepted, which copies nothing.
	NoCopy bool

	// Lazy makes Open, and FromFile of a descriptor of O_PATH, map the file itself where it would
	// have to be copied, and copy it only when a process wants to write to it: a read lease
	// (fcntl(2), F_SETLEASE) keeps that process waiting until the private copy is made. The Method
	// is then Lease. Opening takes microseconds, whatever the size. The package documentation,
	// under "Snapshots without a copy", says what that costs others, and what no lease notices.
	//
	// There is such a lease on ext4, and on XFS without reflinks; of a file of more than 128 KiB
	// that belongs to the effective user of this process and is neither open for writing nor mapped
	// writable; with at most 4 GiB of data, or less in proportion if fs.lease-break-time is less
	// than 45; and if fs.lease-break-time is at most 2 000 000. Every other file is opened as
	// without Lazy, and Method says so. OpenMut and Create ignore Lazy.
	//
	// The copy is made, and can fail, long after opening: methods then return ErrUnstable. With
	// NoCopy there is none: a process that wants to write ends the snapshot so. Progress is not
	// called for it.
	Lazy bool

	// RequireConsistent makes opening fail with ErrUnstable, before any data are copied, where
	// neither a Reflink nor a LeasedCopy can be had: when the file has to be copied and is open
	// for writing or mapped writable, for half a second; when it belongs to another user,
	// unless this process has CAP_LEASE; when FromFile gets a descriptor that is open for
	// reading; or when its filesystem is not ext4, XFS, btrfs or tmpfs, or it is a memfd, since
	// leases on others prove nothing.
	RequireConsistent bool

	// TempDir is where the private copy of a file of more than 128 KiB, or of a MmapMut, goes if the
	// directory of the file cannot hold it: if it may not be written to, if its filesystem knows no
	// unnamed files, or for another reason. "" means os.TempDir(); but if the disk or the quota of
	// the directory is full, only a TempDir that is set here is used. If the filesystem is the same,
	// the copy is a reflink there, too. The package documentation says which errors end the search
	// for a place.
	//
	// If TempDir cannot hold it either, the copy that an Mmap makes of a file of at most 64 MiB is
	// kept in memory, sealed (memfd_create(2)): it counts as memory of the program's control group
	// until Close. Opening a larger one fails with errors.ErrUnsupported, and so does opening or
	// creating a MmapMut. No copy ever has a name, not for an instant. The directory of a MmapMut's
	// file must be writable all the same, unless InPlace is set.
	TempDir string

	// Perm is the mode of a file that Create or Link of a Mmap makes, before the umask; 0 means
	// 0o666. Set-id bits in it are kept by all commits of the snapshot; if the kernel refuses them,
	// the commit fails.
	Perm fs.FileMode

	// InPlace makes Commit change the contents of the file and keep its inode: other hard links and
	// descriptors see the change, and the directory need not be writable. The filesystem must have
	// reflinks and the size must not shrink, else opening or committing fails with
	// errors.ErrUnsupported. Only the file that was opened is written to: if the name does not lead
	// to it any more, Commit fails with ErrConflict, also without CheckConflict.
	//
	// The price is atomicity. A reader, other than by one read call on XFS, can see parts of
	// both versions while the commit runs; and a crash of the system, or of this process by a
	// fatal signal in the middle, can leave such a mix for good. When Commit has returned the
	// new contents are durable.
	InPlace bool

	// CheckConflict makes Commit, in all its forms, fail with ErrConflict, and change nothing, if
	// the file is no longer the one that was opened or last committed, or was changed meanwhile: in
	// contents, size, owner, mode or name. With Create it fails if there is a file at all, of which
	// it takes nothing over: the error is fs.ErrExist, too. CommitTo and Link do not check, and a
	// CommitTo of the snapshot's own name counts as a change by another process.
	//
	// Commits hold a lock on the directory (flock) around the check and the rename. If all
	// processes that write to the file are on one machine and commit with CheckConflict, no commit
	// replaces contents that its snapshot did not see. A commit that checks waits for the lock for
	// half a second and then fails with syscall.EAGAIN. A commit without CheckConflict waits as
	// long and then goes on without the lock: if another commit that checks holds the lock, because
	// its process is stopped or its disk is slow, that one can rename later, and replaces the
	// contents of the commit without CheckConflict, with no error for either.
	//
	// The times of a file do not tell whether a write(2) was in progress when it was opened. So the
	// first commit of a ComparedCopy also compares the contents of the file with a checksum, of 64
	// bits, of the contents that were copied. It does so just before it locks the directory.
	// OpenMut then reads the copy once more, and that commit the file.
	//
	// A process that does not use this library can change the file between the check and the
	// rename. Stores through a mapping show in the times of the file only when the kernel writes
	// them back, and before Linux 6.13, or on FUSE, with the granularity of its clock, or of times
	// that are whole seconds, as on ext4 with small inodes. Each process that may read the
	// directory can hold the lock, and so make commits that check fail.
	CheckConflict bool

	// NoSync makes Commit and Link not wait for the directory to reach the disk. After a crash the
	// old version may be back, never a mix: the data of the new one still reach the disk before its
	// name.
	NoSync bool

	// Progress, if not nil, is called while data are copied, from the goroutine that copies, with
	// the bytes done and the bytes in all, holes counted; done falls back if the file changed and
	// is copied again. A small file is reported once, when it is read. It must not call methods of
	// the snapshot, nor open the file for writing, which would wait for the copy.
	Progress func(done, total int64)
}

// perm returns the mode for a new file as the kernel writes it.
func (c Config) perm() uint32 {
	if c.Perm == 0 {
		return 0o666
	}
	return unixPerm(c.Perm)
}

func unixPerm(mode fs.FileMode) uint32 {
	perm := uint32(mode.Perm())
	for _, bit := range []struct {
		mode fs.FileMode
		perm uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if mode&bit.mode != 0 {
			perm |= bit.perm
		}
	}
	return perm
}

// options returns the part of the configuration that says how private files are made. A snapshot
// that can only be read may lie in memory.
func (c Config) options(readOnly bool) privatefile.Options {
	return privatefile.Options{
		NoCopy:            c.NoCopy,
		RequireConsistent: c.RequireConsistent,
		InMemory:          readOnly,
		TempDir:           c.TempDir,
		Progress:          c.Progress,
	}
}
