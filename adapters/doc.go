// Package adapters puts the interfaces of packages io and io/fs over the snapshots of package
// snapshot, so that what was written for an *os.File or a bytes.Reader works with them:
// archive/zip, compress/gzip, encoding/json, io.Copy, …
//
//   - [Reader] reads a *snapshot.Mmap or *snapshot.MmapMut and has a cursor of its own.
//   - [File] reads and edits a *snapshot.MmapMut as an *os.File is read and edited. Nobody sees the edits until
//     [File.Sync] makes them the contents of the file, all at once.
//   - [FS] is a directory of which every file that is opened is a snapshot.
//
// # What to use
//
//	you have code for               use
//	io.ReaderAt and a size          a *snapshot.Mmap itself: zip.NewReader(m, m.Size())
//	io.Reader, io.ReadSeeker,       NewReader(m)
//	  io.ByteReader, io.RuneReader
//	*os.File that reads             NewReader(m); Name, Stat and Close are those of m
//	*os.File that writes a file     NewFile(m) of snapshot.OpenMut or Create; Sync instead of fsync and rename
//	bytes.Reader, a []byte          m.View for the time of a call; m.Bytes until Close
//	os.DirFS, os.Root.FS            NewFS(dir, snapshot.Config{})
//	http.FileServer, http.Dir       http.FileServerFS(fsys)
//	http.ServeFile, ServeContent    http.ServeFileFS(w, r, fsys, name); ServeContent(…, NewReader(m))
//	template.ParseFiles, ParseGlob  template.ParseFS(fsys, …)
//	a tree to archive               zip.Writer.AddFS(fsys), tar.Writer.AddFS(fsys)
//
// # What is as in package os
//
// Negative offsets, reads at the end, seeks and writes behind it, short counts and closed files
// give what *os.File gives: the same count, the same contents and, to [errors.Is], the same
// error, an *[fs.PathError] with the same operation. All offsets and sizes are bytes. What
// differs:
//
//   - ReadAt and WriteAt with an empty buffer return fs.ErrClosed on a closed file, where *os.File returns nil. ReadFrom does
//     so before it reads anything.
//   - Seek knows io.SeekStart, io.SeekCurrent and io.SeekEnd, and not the whence values 3 and 4, with which an
//     *os.File looks for data and holes on some systems. It accepts every offset up to the largest int64, where *os.File
//     stops at the largest file the filesystem can hold.
//   - ReadAt at an offset so large that the end of the buffer lies behind the largest int64 returns io.EOF, where *os.File returns EINVAL.
//   - A file must fit into the address space: growing it beyond that is an error (EFBIG or ENOMEM).
//   - Stat tells the times and the mode of the file from before the snapshot was made; only its size changes.
//   - There are no deadlines, no descriptor, no directory methods, no Chmod.
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
//	                    as well
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
