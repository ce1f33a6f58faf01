// Package adapters puts the interfaces of packages io and io/fs over the snapshots of package
// snapshot, so that what was written for an *os.File or a bytes.Reader works with them:
// archive/zip, compress/gzip, encoding/json, io.Copy, …
//
// For a program that uses package os, change os.Open, os.Create and os.OpenFile to the functions of
// this package:
//
//		f, err := adapters.Create(name)   // a *File
//		…                                 // Write, Seek, ReadFrom, …
//		err = f.Close()                   // now the file has the new contents, all of them, durably
//
//		r, err := adapters.Open(name)     // a *Reader of a snapshot
//		defer r.Close()
//
//	  - [Reader] reads a snapshot and has a cursor of its own: of [Open], or by [NewReader] of a
//	    *snapshot.Mmap or *snapshot.MmapMut.
//	  - [File] reads and edits a *snapshot.MmapMut as an *os.File is read and edited: of [Create] or
//	    [OpenFile], or by [NewFile]. No other process sees the edits until [File.Sync] or [File.Close]
//	    makes them the contents of the file, all at once.
//	  - [FS] is a directory of which every file that is opened is a snapshot.
//
// # What to use
//
//	you have code for               use
//	os.Open                         Open
//	os.Create, os.OpenFile          Create, OpenFile; no fsync and no rename
//	io.ReaderAt and a size          a *snapshot.Mmap itself: zip.NewReader(m, m.Size())
//	io.Reader, io.ReadSeeker,       NewReader(m)
//	  io.ByteReader, io.RuneReader
//	os.File, and a snapshot.Config  NewReader(m), NewFile(m) of what its methods open
//	  or a context is needed
//	bytes.Reader, a []byte          m.View for the time of a call; m.Bytes until Close
//	os.DirFS, os.Root.FS            NewFS(dir, snapshot.Config{})
//	http.FileServer, http.Dir       &httpfs.Handler{FS: fsys}, or http.FileServerFS(fsys)
//	http.ServeFile, ServeContent    http.ServeFileFS(w, r, fsys, name); ServeContent(…, NewReader(m))
//	template.ParseFiles, ParseGlob  template.ParseFS(fsys, …)
//	a tree to archive               zip.Writer.AddFS(fsys), tar.Writer.AddFS(fsys)
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
//	                                                     the size of now; os.SameFile is false
//	ReadAt, WriteAt of    nil on a closed file           fs.ErrClosed; so is ReadFrom, before it reads
//	  an empty buffer
//	Seek                  up to the largest size of a    up to the largest int64
//	                      file of the filesystem
//	ReadAt over the       EINVAL                         io.EOF
//	  largest int64
//	the size of a file    what the filesystem allows     what fits into the address space, else EFBIG
//	                                                     or ENOMEM
//	Readdir if closed     "use of closed file"           fs.ErrClosed
//	nil                   ErrInvalid, Name panics        ErrInvalid, Name is empty; so the zero value
//	Fd, SyscallConn,      there                          not there
//	  deadlines, Chown,
//	  Chdir, ReadDir
//
// # Costs
//
// A call costs what the call of the snapshot costs, which is no system call once the pages are
// in memory, plus:
//
//	Reader              nothing
//	ReadByte            nothing, as it reads ahead where it can: see below
//	Reader.WriteTo      a copy through a buffer of 128 KiB; none of an Mmap to an *os.File, *net.TCPConn or *net.UnixConn
//	                    of what is known to be in memory
//	File                a mutex where it uses the cursor
//	a File that grows   a copy of each write of up to 32 KiB, and a pwrite for 128 KiB of them; a pwrite for each that is
//	                    larger; the mapping moves only now and then
//	File.Sync           snapshot.MmapMut.Commit
//	FS.Open             four system calls if the file was opened since it changed; else a snapshot
//	                    as well, and where that is a copy, room within the Limits of the FS
//	FS.Stat             four system calls
//
// # ReadByte and ReadRune
//
// Decoders such as compress/flate call ReadByte where there is one, and otherwise put a
// bufio.Reader between, as they do for an *os.File.
//
//   - A Reader over a *snapshot.Mmap or a file of an FS, whose contents cannot change, reads ahead and is as fast as a bufio.Reader.
//   - A File reads ahead until something is written through it, and takes its mutex for each byte: some 20 ns.
//   - A Reader over anything else reads each byte, or up to four, when it is asked for it, for it cannot know whether the contents have
//     changed: some 30 ns.
//
// Where that is too slow and nobody changes the contents meanwhile, give the decoder a
// bufio.Reader.
package adapters
