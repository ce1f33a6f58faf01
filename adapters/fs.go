package adapters

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// An FS is the tree of files below a directory, like [os.DirFS], but every regular file that it
// opens is a snapshot: what is read of it, however slowly and in however many requests to one
// fs.File, is one version of it, and truncating it crashes nobody. http.FileServerFS,
// http.ServeContent, html/template.ParseFS, zip.Writer.AddFS, fs.WalkDir and fs.Glob work with
// it. All methods may be called at the same time from several goroutines.
//
// # What it opens
//
// It never leaves the directory, which is an [os.Root]: a symbolic link is followed as long as it
// leads to somewhere inside. Filesystems that are mounted below the directory belong to it. Open looks a name up by one call (openat2(2), Linux 5.6), or else by
// some calls for each directory in it. Regular files and directories are opened, and nothing else:
// a FIFO, socket or device is only looked at, and opening it fails with fs.ErrInvalid. Errors are
// *[fs.PathError] with the name as it was given. For names that lead out, for FIFOs, sockets and
// devices, and for names with a NUL or invalid UTF-8, errors.Is finds fs.ErrNotExist, so an HTTP
// server answers 404.
//
// If another process holds a write lease on a file (fcntl(2), F_SETLEASE), Open asks for the lease
// and waits for two seconds at most. Then the error says that another process holds a lease, and
// errors.Is finds syscall.EAGAIN.
//
// The fs.File of a regular file is also an [io.ReadSeeker], [io.ReaderAt], [io.WriterTo],
// [io.ByteScanner] and [io.RuneScanner]; ReadAt and Stat may be called at any time, the others
// by one goroutine at a time. Its Stat tells the times from before the snapshot was made. The
// fs.File of a directory is an fs.ReadDirFile.
//
// # Sharing
//
// Where a snapshot is a copy, a server would copy the file for each request. So those who open
// a file share a snapshot as long as the file is unchanged: same device, inode, size, and
// times of modification and change. Several who open it at once wait for one copy; if that
// fails, all of them get the error, and the next one tries again. A snapshot that nobody has
// open is kept for ten seconds, and 32 of them at most, each with its descriptor and, where
// the data were copied, its disk space. A snapshot that the disk fails is not shared any more: the
// next call of Open makes another.
//
// Without /proc (proc(5)), a file is looked up twice, and opened by its name.
//
// The times of a file tell two writes apart only if the clock of its filesystem has ticked in
// between. So a snapshot is shared with those who open the file later only if it was made at
// least 12 ms after the last change, or two seconds where the times are in whole seconds, by the
// clock that the kernel takes the times of files from, which is some ticks of 1 to 10 ms behind.
// A snapshot made earlier serves the callers that asked before it was begun, and no others; a copy
// of more than 1 MiB is put off, by up to 100 ms, until it can be shared. The same holds for a copy
// that is not settled (see [snapshot.Mmap.Settled]), because a write(2) in progress can have torn
// it: a file of another user is shared two seconds after its last change, and ten seconds after it
// beside a process that has the file open for writing, and on FUSE and network filesystems. There,
// Open asks the server whether the file is unchanged (statx(2), AT_STATX_FORCE_SYNC); a file that
// the server replaced is found once the kernel looks the name up again, as by open(2). Stores
// through a writable mapping change the times when the kernel gets to it (the first store to a
// page after it was last written to the disk): until then, such a file counts as unchanged.
//
// # Versions
//
// The [fs.FileInfo] of FS.Stat, and of the Stat of a regular file, has a method Version() string. Two
// regular files of an FS that have the same Version, or one file at two times, have the same contents:
// a Version is a hash of device, inode, size and times of modification and change. It is "" where
// these prove nothing: as long as a snapshot is not shared, see above. Processes on one machine get the
// same Version, machines do not. It is as sound as the clock: a file that is changed after the
// clock was set back can get times that it had before.
// A write(2) in progress does not show in times, and Stat does not look for one: then its Version
// belongs to contents that are not yet complete, and a file that is opened has none.
//
// # Limits
//
// Where a snapshot is a copy, the callers that open files take disk space and memory, and an FS
// bounds both: see [Limits] for the defaults and [FS.SetLimits]. At a limit, opening a file waits for
// ten seconds, or until its context ends, and then fails with [ErrLimit]. A directory, Stat and
// ReadDir take no copy.
//
// # HTTP
//
// Package httpfs has a handler with ETags. http.FileServerFS works, too, but sends none: by the times
// of HTTP, in whole seconds, a client that has a version of a file that was replaced twice within one
// second may be told that it is still good. It takes a snapshot for HEAD, too, and answers 500 at a
// limit. It copies large files in memory through a buffer, in at most 1.45 times its time over
// os.DirFS.
type FS struct {
	// Constant after creation.
	root   *os.Root
	dir    *os.File // of root, for OpenPathBeneath
	shared *cache
	prefix string // of what Sub returned, else "."
}

// NewFS returns the tree of files below dir. Snapshots are made with c: TempDir, NoCopy, Lazy,
// RequireConsistent and Progress apply. With Lazy, the leases of snapshots that are kept for later
// callers are kept, too. With Root, dir is below that; the FS does not need Root any
// more when NewFS has returned. The FS must be closed.
func NewFS(dir string, c snapshot.Config) (*FS, error) {
	open := os.OpenRoot
	if c.Root != nil {
		open = c.Root.OpenRoot
	}
	root, err := open(dir)
	if err != nil {
		return nil, err
	}
	at, err := openBase(root)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &FS{root, at, newCache(c, root, at), "."}, nil
}

// Close gives back the directory and what is kept for those who open a file next. Files that
// are open stay so, until they are closed; opening one fails with fs.ErrClosed, also below what
// Sub returned. A second Close returns fs.ErrClosed. Close of what Sub returned does nothing.
func (f *FS) Close() error {
	if f.prefix != "." {
		return nil
	}
	if !f.shared.close() {
		return &fs.PathError{Op: "close", Path: f.root.Name(), Err: fs.ErrClosed}
	}
	return errors.Join(f.dir.Close(), f.root.Close())
}

// within returns the name of a file from the root, or an error if name is not valid.
func (f *FS) within(op, name string) (string, error) {
	if !utf8.ValidString(name) || strings.IndexByte(name, 0) >= 0 {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if f.prefix == "." {
		return name, nil // which is clean
	}
	return path.Join(f.prefix, name), nil
}

// Open opens a regular file, as a snapshot, or a directory. See [fs.FS].
func (f *FS) Open(name string) (fs.File, error) { return f.OpenContext(context.Background(), name) }

// OpenContext is like Open, but gives up when the context ends, and returns its error. A copy that
// was begun is ended then, unless other callers wait for it.
func (f *FS) OpenContext(ctx context.Context, name string) (fs.File, error) {
	full, err := f.within("open", name)
	if err != nil {
		return nil, err
	}
	var s *shared
	var d *os.File
	err = retryStale(func() (err error) {
		if s, err = f.find(ctx, full); errors.Is(err, syscall.EISDIR) {
			d, err = openDir(f.root, f.dir, full)
		}
		return err
	})
	if err != nil {
		return nil, f.named("open", name, err)
	}
	if d != nil {
		return &dirFile{d, name, f.root, full}, nil
	}
	return newSnapshotFile(f.shared, s, name), nil
}

// retryStale calls open again while it fails with ESTALE. On a server that goes by names (NFS,
// FUSE) that is a file that was replaced since it was looked up.
func retryStale(open func() error) error {
	err := open()
	for i := 0; i < staleTries && errors.Is(err, syscall.ESTALE); i++ {
		time.Sleep(time.Millisecond << i)
		err = open()
	}
	return err
}

// staleTries is how often a file that was replaced is looked up again: for half a second in all.
const staleTries = 9

// find returns a snapshot of a regular file, whose user the caller is then. The error is EISDIR
// for a directory.
func (f *FS) find(ctx context.Context, full string) (*shared, error) {
	found, st, err := lookUp(f.root, f.dir, full)
	if err != nil {
		return nil, err
	}
	if found != nil {
		defer found.Close()
	}
	switch {
	case st.Mode.IsDir():
		return nil, syscall.EISDIR
	case !st.Mode.IsRegular():
		return nil, errIrregular
	}
	return f.shared.get(ctx, full, found, st)
}

// errIrregular is fs.ErrInvalid, and says why.
var errIrregular error = notServed{errors.New("neither a regular file nor a directory"), fs.ErrInvalid}

// A notServed is the error for a file that is there and is not served. It is fs.ErrNotExist, too, so
// that an HTTP server answers 404, as for a file that is not there.
type notServed struct {
	error
	kind error // nil, or what it is besides
}

func (e notServed) Is(target error) bool {
	return target == fs.ErrNotExist || target == e.kind
}

func (e notServed) Unwrap() error { return e.error }

// Stat describes the file as it is now, without opening it. Its Version, which the type [FS]
// describes, belongs to the contents of now. See [fs.StatFS].
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	full, err := f.within("stat", name)
	if err != nil {
		return nil, err
	}
	info, version, err := f.stat(full)
	if err != nil {
		return nil, f.named("stat", name, err)
	}
	return namedInfo{info, path.Base(name), version}, nil
}

// Lstat is Stat, but describes a symbolic link itself, and has no Version. See [fs.ReadLinkFS].
func (f *FS) Lstat(name string) (fs.FileInfo, error) {
	full, err := f.within("lstat", name)
	if err != nil {
		return nil, err
	}
	info, err := f.root.Lstat(full)
	if err != nil {
		return nil, f.named("lstat", name, err)
	}
	return namedInfo{info, path.Base(name), ""}, nil
}

// ReadLink returns where a symbolic link leads. See [fs.ReadLinkFS].
func (f *FS) ReadLink(name string) (string, error) {
	full, err := f.within("readlink", name)
	if err != nil {
		return "", err
	}
	target, err := f.root.Readlink(full)
	return target, f.named("readlink", name, err)
}

// ReadDir reads a directory and returns its entries, sorted by name. See [fs.ReadDirFS].
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	full, err := f.within("readdir", name)
	if err != nil {
		return nil, err
	}
	d, err := openDir(f.root, f.dir, full)
	if err != nil {
		return nil, f.named("open", name, err)
	}
	defer d.Close()
	entries, err := readDir(d, -1, f.root, full)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, f.named("readdir", name, err)
}

// ReadFile returns the contents of a file, all of one version. If the kernel refuses memory for a
// file of 64 MiB or more, a sparse one of 1 TiB for instance, the error is syscall.ENOMEM, while
// os.ReadFile ends the program. See [fs.ReadFileFS].
func (f *FS) ReadFile(name string) ([]byte, error) {
	full, err := f.within("open", name)
	if err != nil {
		return nil, err
	}
	var s *shared
	err = retryStale(func() (err error) {
		s, err = f.find(context.Background(), full)
		return err
	})
	if errors.Is(err, syscall.EISDIR) {
		return nil, &fs.PathError{Op: "read", Path: name, Err: syscall.EISDIR}
	}
	if err != nil {
		return nil, f.named("open", name, err)
	}
	defer f.shared.release(s)
	p, err := makeBytes(s.m.Size())
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	// io.EOF is that of an empty file.
	if _, err := s.m.ReadAt(p, 0); err != nil && !errors.Is(err, io.EOF) {
		f.shared.rejectFailed(s, err)
		return nil, f.named("read", name, err)
	}
	return p, nil
}

// makeBytes is make([]byte, n), which ends the program where the memory cannot be had. Here that is
// an error. The runtime takes the memory in pieces of 64 MiB, and some for itself.
func makeBytes(n int64) ([]byte, error) {
	const piece = 64 << 20
	if n >= piece {
		if err := syscalls.TryMemory(n + n/64 + piece); err != nil {
			return nil, err
		}
	}
	return make([]byte, n), nil
}

// Sub returns the tree below a directory, which is an *FS, too, and shares all with f. It holds
// on to the name of the directory: if another is put there, the tree is that. As with
// os.DirFS, symbolic links may lead out of it, not out of f. See [fs.SubFS].
func (f *FS) Sub(dir string) (fs.FS, error) {
	full, err := f.within("sub", dir)
	if err != nil {
		return nil, err
	}
	return &FS{f.root, f.dir, f.shared, full}, nil
}

// errEscape returns the error of Root for a name that leads out of it. Root returns it for an
// absolute name without a look at any file.
func errEscape(root *os.Root) error {
	_, err := root.Lstat("/")
	return err
}

// named is the function named, for errors that a name which leads out can have.
func (f *FS) named(op, name string, err error) error {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		if escape := errors.Unwrap(errEscape(f.root)); errors.Is(err, escape) {
			err = notServed{escape, nil}
		}
	}
	return named(op, name, err)
}

// named gives an error of package os or snapshot the operation and the name that were asked for.
func named(op, name string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// namedInfo describes a file under the name by which it was asked for.
type namedInfo struct {
	fs.FileInfo
	name    string
	version string
}

// Version returns a text that the file has with no other contents, or "".
func (i namedInfo) Version() string { return i.version }

func (i namedInfo) Name() string   { return i.name }
func (i namedInfo) String() string { return fs.FormatFileInfo(i) }

var (
	_ fs.FS         = (*FS)(nil)
	_ fs.StatFS     = (*FS)(nil)
	_ fs.ReadDirFS  = (*FS)(nil)
	_ fs.ReadFileFS = (*FS)(nil)
	_ fs.SubFS      = (*FS)(nil)
	_ fs.ReadLinkFS = (*FS)(nil)
	_ io.Closer     = (*FS)(nil)
)
