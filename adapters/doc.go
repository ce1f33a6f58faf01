// Package adapters puts the interfaces of packages io and io/fs over the snapshots of package
// snapshot. Code that was written for an *os.File or a bytes.Reader works with them: archive/zip,
// compress/gzip, encoding/json, io.Copy.
//
// In a program that uses package os, change os.Open, os.Create and os.OpenFile to the functions of
// this package:
//
//	r, err := adapters.Open(name)     // a *Reader of a snapshot: no later change of the file shows
//	…                                 // Read, ReadAt, Seek, …
//	err = r.Close()
//
//	f, err := adapters.Create(name)   // a *File
//	defer f.Discard()                 // if the program returns before Close, the file stays as it was
//	…                                 // Write, Seek, ReadFrom, …
//	err = f.Close()                   // now the file has the new contents, all of them, durably
//
// There are three types. A [Reader] reads a snapshot and has a cursor of its own. A [File] reads
// and edits a snapshot as an *os.File is read and edited; no other process sees the edits until
// [File.Sync] or [File.Close] makes them the contents of the file, all at once. An [FS] is a
// directory; each file of it that is opened is a snapshot.
//
// # What to use
//
//	you have code for               use
//	os.Open                         Open
//	os.Create, os.OpenFile          Create, OpenFile; no fsync and no rename
//	os.Open, OpenFile and Create,   NewReader(m), NewFile(m) of what the methods of a
//	  with a context or options       snapshot.Config open
//	an *os.File that is open        NewReader of snapshot.FromFile(f), NewFile of
//	                                  snapshot.FromFileMut(f)
//	io.ReaderAt and a size          a *snapshot.Mmap itself: zip.NewReader(m, m.Size())
//	io.Reader, io.ReadSeeker,       NewReader(m)
//	  io.ByteReader, io.RuneReader
//	bytes.Reader, a []byte          m.View for the time of a call; m.Bytes until Close
//	data that are in no file        snapshot.FromReaderAt(r, size, name)
//	os.SameFile                     SameFile
//	os.DirFS, os.Root.FS            NewFS(dir, snapshot.Config{})
//	http.FileServer, http.Dir       &httpfs.Handler{FS: fsys}, or http.FileServerFS(fsys)
//	http.ServeFile, ServeContent    http.ServeFileFS(w, r, fsys, name); ServeContent(…, NewReader(m))
//	template.ParseFiles, ParseGlob  template.ParseFS(fsys, …)
//	a tree to archive               zip.Writer.AddFS(fsys), tar.Writer.AddFS(fsys)
//
// # What differs from package os
//
// Negative offsets, reads at the end, seeks and writes behind it, short counts and closed files
// give what *os.File gives: the same count, the same contents and, to [errors.Is], the same
// error, an *[fs.PathError] with the same operation. All offsets and sizes are bytes. The rest:
//
//	                      *os.File                       Reader, File
//	changes by others     show at once                   never show
//	what is written       shows at once                  shows with Sync or Close, as a whole
//	a file that is made,  is there from opening on       with the first Sync or Close
//	  or made empty
//	its inode             stays                          is a new one with each Sync that changes
//	                                                     something: other descriptors, mappings, hard
//	                                                     links and locks stay with the old one
//	two of one name       write to one file, by turns    the later Sync or Close replaces what the
//	                      with O_APPEND                  earlier one made, also with O_APPEND
//	Close after a failed  nil                            the error of that write, and the file is as
//	  write                                              it was
//	no Close at all       data stay                      nothing is published
//	opening needs         the permission of the flag     File: to read and write the file, to write
//	                                                     to its directory and to read it
//	it opens              any file                       regular files; flags: see OpenFile
//	Chmod                 at once                        with the next Sync or Close
//	Stat                  the file as it is              the file as it was before it was opened, with
//	                                                     the size of now
//	os.SameFile           works                          is false: use SameFile
//	ReadAt, WriteAt of    nil on a closed file           fs.ErrClosed; so is ReadFrom, before it reads
//	  an empty buffer
//	Seek                  up to the largest size of a    up to the largest int64
//	                      file of the filesystem
//	ReadAt over the       EINVAL                         io.EOF
//	  largest int64
//	the size of a file    what the filesystem allows     what fits into the address space, else EFBIG
//	                                                     or ENOMEM
//	os.IsNotExist,        know each error                know an error that adds nothing to the errno;
//	  os.IsPermission,                                   errors.Is knows the others, as "owner 0:0
//	  os.IsExist                                         cannot be kept: … operation not permitted"
//	Readdir if closed     "use of closed file"           fs.ErrClosed
//	nil                   ErrInvalid, Name panics        ErrInvalid, Name is empty; so the zero value
//	Fd, SyscallConn,      there                          not there
//	  deadlines, Chown,
//	  Chdir, ReadDir
//
// # Which type implements what
//
// The last two columns are what [FS.Open] returns for a regular file and for a directory.
//
//	                                   os.File Mmap    MmapMut Reader  File    file    directory
//	io.ReadSeeker, WriterTo            x       -       -       x       x       x       -
//	io.ReaderAt                        x       x       x       x       x       x       -
//	io.ByteScanner, RuneScanner        -       -       -       x       x       x       -
//	io.StringWriter, ReaderFrom        x       -       -       -       x       -       -
//	io.WriterAt                        x       -       x       -       x       -       -
//	Name, Stat, Close                  x       x       x       x       x       x       x
//	fs.File                            x       -       -       x       x       x       x
//	fs.ReadDirFile                     x       -       -       -       -       -       x
//	io.ReadSeekCloser, multipart.File  x       -       -       x       x       x       -
//	http.File                          x       -       -       x       x       x       -
//	afero.File                         x       -       -       -       x       -       -
//	billy.File, less Lock and Unlock   x       -       -       -       x       -       -
//	Chmod                              x       -       x       -       x       -       -
//	Fd, SyscallConn, SetDeadline       x       -       -       -       -       -       -
//	adapters.Source                    -       x       x       -       -       x       -
//
// # Costs
//
// A call costs what the call of the snapshot costs, which is no system call once the pages are in
// memory, plus:
//
//	Reader              nothing
//	ReadByte            nothing, as it reads ahead where it can: see below
//	Reader.WriteTo      a copy through a buffer of 128 KiB; none from an Mmap to an *os.File,
//	                    *net.TCPConn or *net.UnixConn, of what is known to be in memory
//	File                a mutex where it uses the cursor
//	a File that grows   a pwrite(2) for each write behind the end: use a bufio.Writer for many small
//	                    ones, as with an *os.File
//	File.Sync, Close    those of snapshot.MmapMut.Commit, CommitAndClose
//	FS.Open             four system calls if the file was opened since it changed; else a snapshot
//	                    as well, and where that is a copy, room within the Limits of the FS
//	FS.Stat             four system calls
//
// # ReadByte and ReadRune
//
// Decoders such as compress/flate call ReadByte where there is one, and otherwise put a
// bufio.Reader between, as they do for an *os.File.
//
//   - A Reader over a *snapshot.Mmap or a file of an FS, whose contents cannot change, reads ahead
//     and is as fast as a bufio.Reader.
//   - A File reads ahead until something is written through it, and takes its mutex for each byte:
//     some 20 ns.
//   - A Reader over anything else reads each byte, or up to four, when it is asked for it, because
//     it does not know whether the contents have changed: some 30 ns.
//
// If that is too slow, and the contents do not change meanwhile, give the decoder a bufio.Reader.
package adapters
