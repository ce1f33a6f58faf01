// Files, each of which uses only those named after it: fromfilemut.go, fromreader.go,
// open.go, openlazy.go, refuse.go, commitclose.go, commit.go, link.go, inplace.go, contents.go,
// grow.go, changed.go, holes.go, string.go, mmapmut.go, mmap.go, source.go, callerfault.go,
// method.go, config.go, errors.go.

// Package snapshot maps files into memory that never change under the reader, and changes files
// atomically through memory. Linux, no cgo.
//
// Mapping a file that others may change is dangerous: the bytes change while they are parsed,
// and if the file is truncated, touching the lost part ends the program with SIGBUS. This
// package maps a private, unnamed copy instead. On filesystems with reflinks (XFS, btrfs) the
// copy shares the storage of the file and takes microseconds, whatever the size:
//
//	m, err := snapshot.Open("data.bin")   // an io.ReaderAt
//	…
//	defer m.Close()
//
// A [MmapMut] can also be changed, and then committed: the file gets the new contents as a
// whole, durably, or stays as it was:
//
//	m, err := snapshot.OpenMut("data.bin")
//	…
//	defer m.Close()                       // discards what was not committed
//	_, err = m.WriteAt([]byte("new"), 0)
//	…
//	err = m.Commit()
//
// [FromFile] and [FromFileMut] do it with an *os.File, [FromReaderAt] with data that are in no
// file. [Mmap.Link] gives what a [Mmap] holds a name in a directory of the caller, durably.
//
// Package adapters, beside this one, gives both the interfaces of *os.File.
//
// # Three ways to read
//
//   - ReadAt copies, and is always safe: beside Close, with disk errors, on several goroutines.
//   - View lends the memory for the time of a call. A disk error inside is View's error.
//   - Bytes gives the memory away until Close. What goes wrong then ends the program, as with
//     any mapping; but a slice that is used too late faults instead of showing other data.
//
// # What opening costs and promises
//
//	file                     Method         cost                    shows the file
//	small (128 KiB at most)  LeasedCopy     up to twice that of     as it was while no process
//	of one's own, on XFS,                   os.ReadFile             had it open for writing
//	btrfs, ext4, tmpfs
//	on XFS (reflink=1),      Reflink        microseconds            at one instant, between two
//	btrfs                                   + dirty pages written   write(2) calls of its writers
//	                                        + extents
//	on ext4, tmpfs, XFS      LeasedCopy     a copy of the data,     as it was while no process
//	without reflinks                        holes left out          had it open for writing
//	on ext4, XFS without     Lease          microseconds            as it was while no process
//	reflinks, with                          + dirty pages written   had it open for writing
//	Config.Lazy
//	there, without a lease;  ComparedCopy   the same                as it was while size and times
//	all others                                                      did not change
//
// There is a lease if the file belongs to this process's user (or with CAP_LEASE) and is neither
// open for writing nor mapped writable; a writer is waited for, for 7 ms. [FromFile] of a
// descriptor that is open for reading takes none: its copy is a Reflink or a ComparedCopy. While
// the copy is made, a process that opens the file for writing waits, for about a second at most:
// then the copy goes on without the lease. If this process is stopped in the middle of the copy
// (SIGSTOP), the writer waits until /proc/sys/fs/lease-break-time is over, 45 s by default. With
// O_NONBLOCK, which truncate(1) uses, opening is EAGAIN. The lease sends this program no signal
// that it can tell from the runtime's own, and ends with the copy.
//
// A lease does not exclude a store into a page that was pinned for writing through a mapping which
// is gone by then: by a device (RDMA, VFIO), by a read(2) with O_DIRECT into that mapping, or by a
// buffer registered with io_uring on tmpfs. A LeasedCopy can have a part of it; a Reflink cannot.
// The kernel does not count a file of tmpfs without a name (memfd_create(2)) as open for writing:
// no lease is taken on it.
//
// A copy is begun anew as soon as the file is seen to change: ten times at most, and only once
// when five seconds have passed; then opening fails with [ErrUnstable]. A ComparedCopy cannot
// notice stores through somebody's writable mapping, nor, on kernels before 6.13, a write within
// the same tick of the clock (a few milliseconds); [Config].RequireConsistent refuses it. On
// filesystems of which these are not known to be finer, FUSE and NFS among them, opening a file
// that was changed in the last five seconds waits for 12 ms instead, and begins anew if that
// changes meanwhile; for two seconds where times are whole seconds, as on ext4 with small inodes.
//
// # Settled copies
//
// A write(2) changes the times of a file when it begins, and not when it ends. If one is in
// progress when a copy begins, size and times are the same after the copy as before, and a
// ComparedCopy can have a part of what the call writes. Filesystems on which the copy waits for a
// write(2) through the page cache (ext4, XFS, tmpfs) allow that only with O_DIRECT; overlayfs,
// ramfs and others can allow it with every write. [Mmap.Settled] reports whether no call was in
// progress:
//
//	how the copy was made                                  settled
//	Reflink, LeasedCopy                                    always
//	squashfs, EROFS, ISO 9660, cramfs                      always
//	overlayfs, a file of this user, or with CAP_LEASE      if no process has the file open for
//	                                                       writing, else as the next but one
//	a file of another user, and FromFile of a descriptor   if the last change is 2 s old
//	that is open for reading, on ext4, tmpfs, XFS, btrfs
//	and overlayfs
//	beside a process that was seen to have the file open   if the last change is 10 s old
//	for writing; a file of tmpfs without a name; all
//	other filesystems
//
// If a writer has the file open when the copy begins, and none when it ends, the copy is made once
// more, under a lease. One write(2) that takes longer than the 2 s or 10 s is not noticed: on a
// disk of 100 MB/s, one of more than 200 MB or 1 GB. Where there is no lease, stores through a
// writable mapping are not noticed.
//
// A program that saves a file by several writes can be caught between two of them by a reflink
// and by a ComparedCopy; not by a LeasedCopy, and not if it replaces the file by a rename. One
// call of sendfile(2), splice(2) or copy_file_range(2) is several writes.
//
// # Small files
//
// An [Mmap] of a file of at most 128 KiB has no private file: its contents are in the Go heap for
// as long as the Mmap can be reached, and so in core dumps. ReadAt copies from there. View and
// Bytes use a second copy, which is mapped when it is first needed, can only be read, and is not
// in core dumps. Such a snapshot holds no descriptor.
//
// Under a lease the file is read at once, also on XFS and btrfs; so a process that opens it with
// O_NONBLOCK and for writing at that moment can get EAGAIN there, too. If no lease can be had,
// because the file belongs to another user or is open for writing, or because [FromFile] got a
// descriptor that is open for reading, the copy is a Reflink if the directory of the file can hold
// one; else the file is read and compared, and TempDir is not used.
// With NoCopy the copy is a Reflink or an error. With RequireConsistent it is a LeasedCopy, a
// Reflink, in TempDir if need be, or an error. A [MmapMut] always has a private file.
//
// # Snapshots without a copy
//
// With [Config].Lazy, a [Mmap] reads the file itself on ext4, and on XFS without reflinks, in place
// of a private copy. A read lease (fcntl(2), F_SETLEASE) keeps all other processes, and this one,
// from opening the file for writing. If a process wants to, the kernel makes it wait and sends a
// signal to a thread of this package; the package then makes the private copy, gives the lease up,
// and the snapshot goes on with the copy. No handler of the program gets that signal, which is 62.
// The thread can also take a signal 62 that a process sends to this one for another purpose: a
// program that uses signal 62 itself must not use Lazy.
//
//	use Lazy                                      do not use Lazy
//	for large files that processes seldom write   for files that are written often: each writer
//	to, or replace by a rename                    waits for a copy
//	to read a part of a large file                if writers must not wait, or use O_NONBLOCK, as
//	                                              truncate(1) and touch(1) do
//	where a copy would cost more time or disk     if the snapshot must outlast a full disk, or a
//	space than there is                           process that is stopped
//	                                              for files that other users can write to by the
//	                                              ways below
//	                                              to use Bytes, or large Views: they make the copy
//
// Costs for other processes:
//
//	a process that opens the file for writing     waits until the copy is made: about a second for
//	                                              each GiB, 1 ms for 1 MiB
//	the same with O_NONBLOCK                      gets EAGAIN at once. The first such open has the
//	                                              copy made, so that a later one succeeds
//	rename, unlink, chmod, link                   do not wait; nor does reading
//	a process of this user that reads the file    uses the same page cache
//
// All snapshots of a file in the process that have the same TempDir and NoCopy share one lease and
// one copy, and the memory of the copy stays until the last of them is closed. The copy lies where
// the copy of any snapshot does: in the directory that the file had when it was opened, or else in
// TempDir or in memory. A thread waits for the signals while there are such snapshots, and ends two
// seconds after the last. If a signal is lost, the thread notices the writer within a second.
//
// Each read also reads the clock, and one in half a second makes two system calls. View of up to
// 16 KiB gets a buffer. View of more, Bytes and Link make the private copy first; if that fails and no
// process wants to write, View and Link have the error of the copy, Bytes is nil and the snapshot goes
// on. WriteTo of package adapters copies through a buffer.
//
// The following end a snapshot that has no private copy. All reads from then on, and those that were
// waiting for the copy, fail with [ErrUnstable]:
//
//	a process wants to write, and the copy cannot be made: a full disk, EIO, RLIMIT_NOFILE, NoCopy
//	this process is stopped, or its disk is slow, for longer than fs.lease-break-time (45 s)
//	open(2) with O_RDONLY|O_TRUNC, which waits for no lease
//	truncation through an overlay whose upper layer has the file, noticed by size or time
//
// The last of these is noticed within half a second of reads, and until then reads can return zeros.
// No lease notices the following. There Lazy is weaker than a Reflink, and than a copy once it is
// made, because it lasts as long as the snapshot:
//
//	truncation through an overlay by a process that sets the modification time back; by nfsd
//	stores by a device (RDMA, VFIO), by a read(2) with O_DIRECT, or by io_uring, into pages that
//	were pinned through a writable mapping that is gone by now
//	writes to the disk below the filesystem: to the block device, by a merge of a volume snapshot
//	fs.lease-break-time above 2 000 000: the kernel's arithmetic can overflow, and the writer does
//	not wait. Then no lease is taken, and within a second each snapshot makes its copy
//
// A lease is therefore taken only of a file of this process's effective user, also if the process
// has CAP_LEASE: another owner could do the first of these. Through an idmapped mount the file seems
// to belong to the user to whom the mount maps its owner: then the owner is another user, who can.
// Dirty pages of the file are written to the disk when it is opened, because the kernel drops dirty
// pages that the disk refuses.
//
// # Leases of other processes
//
// A process can take a write lease on a file of its own user (fcntl(2), F_SETLEASE), as Samba does
// for its clients. An open(2) by another process then waits in the kernel until the holder gives
// the lease up, for 45 s at most (/proc/sys/fs/lease-break-time), and again if the holder takes the
// lease anew. Opening a snapshot does not wait in the kernel. It asks for the lease and tries
// again, with pauses, until the context ends. After two seconds it fails: the error says that
// another process holds a lease, and errors.Is finds syscall.EAGAIN. While a file is open, no other
// process can take a write lease on it, so [FromFile] does not meet one.
//
// # POSIX locks of this process
//
// When a process closes a descriptor of a file, the kernel ends all locks that the process has on
// the file by fcntl(2), F_SETLK, whichever descriptor they were taken through. SQLite has such
// locks. Locks of other processes, of flock(2) and of F_OFD_SETLK stay.
//
//	call                                                locks of this process on the file
//	FromFile and FromFileMut of a descriptor that is    stay
//	open for reading; all methods of a Mmap
//	Open, OpenMut, FromFile and FromFileMut of a        end
//	descriptor of O_PATH; FS of package adapters
//	commits                                             may end
//
// # SQLite
//
// A snapshot of an SQLite database that another process or goroutine writes to can be a mix of two
// versions, also with RequireConsistent. The lock that SQLite has for writers prevents that. The
// following works with a rollback journal and with a write-ahead log (WAL); conn is a *sql.Conn:
//
//	f, err := os.Open("data.db")              // to be closed after all connections
//	…
//	_, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE")
//	…
//	m, err := snapshot.FromFile(f)            // Open would end SQLite's locks
//	…
//	wal, err := snapshot.Open("data.db-wal")  // fs.ErrNotExist without WAL
//	…
//	_, err = conn.ExecContext(ctx, "ROLLBACK")
//
// Writers wait from BEGIN to ROLLBACK. SQLite reads the snapshots if they get names that belong
// together, such as copy.db and copy.db-wal. With a rollback journal, BEGIN and then a SELECT also
// keep writers out, and need no write permission.
//
// Closing f ends SQLite's locks as well. f must stay open as long as any code in the process has
// the database open, and be reachable, because the garbage collector closes an unreachable
// [os.File]. If a program cannot ensure that, VACUUM INTO copies the database through SQLite. Do
// not commit to a database that a process has open: the process goes on with the old file.
//
// # Network filesystems
//
// On NFS, SMB, CephFS and all that is FUSE (GlusterFS, JuiceFS, sshfs, gcsfuse) a snapshot is a
// ComparedCopy, in TempDir or memory: none has unnamed files (SMB has, on recent kernels, by a
// hidden name on the server), so there is nothing to clone to, even where NFS 4.2 and SMB know
// FICLONE. Leases are not taken: they exist on NFS with a delegation, on SMB with an oplock, and
// on FUSE always, where they keep no other client out.
//
// What another machine writes shows here when caches run out: after 3 to 60 s on NFS (nfs(5)),
// 1 s on most of FUSE. So the server is asked before, during and after the copy (statx(2),
// AT_STATX_FORCE_SYNC). That does not reach a cache in a server of FUSE, as sshfs and GlusterFS
// have, nor pages that FUSE keeps: beside a writer on another client all of 100 copies on
// GlusterFS were torn. RequireConsistent refuses them. A file that is replaced by a rename is
// seen whole if a process that has the old file open goes on reading the old file. SeaweedFS does
// not do this: of 20 snapshots opened on one of its mounts beside commits on another, 3 were torn,
// as was os.ReadFile.
//
// A commit copies, too, and is as atomic as the filesystem's rename; on SeaweedFS, a name is missing
// for a moment. A commit keeps extended attributes, and fails if the filesystem cannot list them: on
// an rclone mount listxattr(2) is EIO. A file that Create gives a new name needs none. A commit is
// durable if the server keeps what fsync(2) says. CheckConflict sees what this machine's client
// knows, and its lock on the directory is shared by all clients on CephFS, by the programs on one
// mount elsewhere.
//
// For reflinks on many machines, use XFS or btrfs on a block volume that one machine mounts at a time
// (EBS, Longhorn, Ceph RBD), and not a network filesystem.
//
// GlusterFS 10 was tried (benchmarks/external/gluster.sh); for the others this is what their
// manuals and the kernel's sources say.
//
// # Where the copy lies
//
// The copy of a small file lies in memory, unless it is a Reflink. No private file has a name. The
// copy of a larger file, or of a MmapMut, lies in the first of these places that can hold it:
//
//	1  the directory of the file
//	2  Config.TempDir, or else os.TempDir()
//	3  memory, for a Mmap of a file of at most 64 MiB
//
// A place cannot hold the copy if the process may not write there, if its filesystem has no unnamed
// files (O_TMPFILE), or if the copy cannot be made there for whatever other reason, except:
//
//	ENOSPC, EDQUOT                         TempDir comes next only if Config.TempDir is set, and
//	                                       memory otherwise: a process that fills a disk does not
//	                                       move contents to a directory that all users share
//	ENOTDIR, ELOOP, ENAMETOOLONG, of       opening fails
//	TempDir
//	EMFILE, ENFILE, ENOMEM, EFBIG          opening fails: the next place would have the same error
//	any error of the directory of a file   opening fails, because a commit would meet the error;
//	that is opened by OpenMut without      but not if its filesystem has no unnamed files
//	InPlace
//
// If a file is mounted by itself (mount(8), --bind), its directory can lie on another filesystem.
// If TempDir lies on the filesystem of the file and a reflink can be made there, it holds the copy.
//
// If a file is encrypted (fscrypt) and its directory cannot hold the copy, TempDir holds the
// contents in plain text, on whatever disk that is. Set Config.TempDir to an encrypted directory,
// or to one on tmpfs.
//
// A process that watches the directory by inotify(7) is told of the unnamed file, as "#" and its
// inode number: IN_OPEN, IN_MODIFY and IN_CLOSE_WRITE. If it opens a snapshot in answer to each
// event, it is told again, and never stops. Ignore names that begin with "#", or react only to the
// name of the file.
//
// # Without /proc
//
//	Open, OpenMut                            open the file by its name
//	Commit                                   works for root and, since Linux 6.10, for every user
//	FromFile, of a file open for reading     uses TempDir, not the directory of the file
//	FromFile, of a descriptor of O_PATH      fails: errors.ErrUnsupported
//	FromFileMut; adapters.FS, Open of a file fails: errors.ErrUnsupported
//
// # Files that do not report their size
//
// The kernel generates files of procfs, sysfs, control groups and tracing when a process reads
// them. If the size of such a file is 0, opening it fails with [errors.ErrUnsupported], and no byte
// of it is read, because reading can have effects. If fewer or more bytes can be read from a file
// than its size says, as from most of /sys, opening it fails with the same error. A FUSE server can
// have such files, too (direct_io). Use os.ReadFile for them.
//
// # Pages that are not in memory
//
// The page cache of a reflinked copy is empty at first: every page is read from the disk once.
// A goroutine that touches such a page through a mapping waits for the disk without giving up
// its processor, and others wait with it. So ReadAt and WriteAt make a system call for each
// page that is not known to be in memory, as *os.File does, and use the mapping after that.
// What is known takes a bit for 4 KiB, and another in a MmapMut; every five seconds the kernel
// is asked which of these pages are still there (mincore(2), some 0.1 ms for 128 MiB), and
// first stores take a system call again then and after each commit. View does the same for the
// first 128 KiB of what it shows. Beyond them, and with Bytes, use Prefetch first; Resident reports
// what is known.
//
// Prefetch is the slower way to read a file once from the front to the end by ReadAt. Its time,
// with the reading after it, over the time of ReadAt alone, of 64 MiB that are not in memory:
//
//	                         XFS   btrfs
//	in pieces of 4 KiB       0.7   1.3
//	in pieces of 256 KiB     3.1   2.4
//
// # What changed between two snapshots
//
// [Mmap.Changed] yields the ranges in which two snapshots may differ. For two reflinks of a file it
// reads no data, because the filesystem tells which extents they share. A backup of a large file
// that keeps the snapshot of the time before, as a reflink with a name, needs to read and write the
// rest only:
//
//	for r, err := range now.Changed(ctx, before) {
//		if err != nil {
//			return err
//		}
//		// copy r.Len bytes from r.Off on
//	}
//
// For a file of 1 GiB with 1 000 pages changed at random places, Changed takes about 1/40 (XFS) and
// 1/100 (btrfs) of the time of reading both snapshots from the page cache; for 10 000 pages about
// 1/4 and 1/10 (BenchmarkChanged). With compression on btrfs, the extents that both snapshots share
// are read, and the ranges have up to twice the pages that differ.
//
// # What a commit promises
//
//	                          readers see             a kill leaves   a crash leaves
//	Commit, CommitAndClose,   the old file or the     the same        the same; the new one once
//	CommitTo, Link            new one, whole                          the call has returned
//	with Config.NoSync        the same                the same        the old or the new, whole
//	with Config.InPlace       parts of both, while    parts of both   parts of both; the new one
//	                          it runs                                 once the call has returned
//
// A commit publishes a new file under the old name. Descriptors and mappings that others had open,
// and other hard links to the old file, keep the old contents. Two tables below say which
// attributes the new file has. In a user namespace, an owner that it does not map becomes the
// overflow ID (user_namespaces(7)).
//
// Two commits of two snapshots of one file do not merge. The later commit is the one that gets the
// lock of the directory later:
//
//	CheckConflict is set for   the file has the contents of   error of the later commit
//	neither commit             the later commit               none
//	the earlier commit         the later commit               none
//	the later commit           the earlier commit             ErrConflict
//	both commits               the earlier commit             ErrConflict
//
// If the earlier commit holds the lock for more than half a second, the later one fails with
// syscall.EAGAIN if it checks. If it does not check, it goes on without the lock. The file then has
// the contents of the commit that renames last, with no error for either, also if that one checks.
//
// If the file was removed since it was opened, a commit without CheckConflict creates it again. A
// lock that another process holds on the file (flock(2), fcntl(2)) stays on the old file: no commit
// waits for it, and another process can lock the new file at the same time. With Config.InPlace the
// lock stays on the file.
//
// What may be retried: after any error but [ErrNotDurable], the file is as it was and the
// snapshot goes on (in place, the file may be a mix already: commit again); after ErrNotDurable
// the new contents are there, and committing again makes them durable if that is possible now.
// One failure is final: if the kernel could not write to the disk what was stored, or could not
// read it back (EIO), the same snapshot cannot be committed any more, because the kernel may have
// lost it.
//
// Between two system calls of a commit the new file has a temporary name in the same directory,
// .<hash>.mmapsnapshot-0. A crash in that instant leaves it; the next commit of the same file
// removes it, if it is a regular file of the same owner, or of the user who commits, that has no
// other name and is not in use (flock, lease). If the name is taken otherwise, as by a commit of
// the same file that runs at the same time, the new file has a random number in place of the 0, and
// what a crash leaves then stays. On a filesystem without unnamed files (O_TMPFILE: NFS and most of
// FUSE), or none that can get a name, it has that name from the start of the commit, with mode 0600
// until it is whole, or that of Config.Perm if it is new.
//
// Where files lie on a server that dies, or loses the connection, while it renames the new one,
// the commit is an error and may have been made all the same: nobody can know. It is whole or not
// there.
//
// A MmapMut that is committed often with small changes in between would become slow, because
// each change adds an extent to what has to be cloned. Commits therefore join extents again, a
// part of the file at a time, at about the cost that the fragmentation itself has.
//
// # Which attributes each way of committing keeps
//
//	                                        Commit   new name  replaced  created  InPlace
//	inode number                            new      new       new       new      opened
//	owner                                   opened   opened    target    new      opened
//	group                                   opened   opened    target    new      opened
//	mode                                    opened   opened    target    new      opened
//	set-id bits, with CAP_FSETID            opened   opened    none      new      opened
//	set-id bits, without CAP_FSETID         none     none      none      new      none
//	ACL                                     opened   opened    target    new      opened
//	user.* attributes                       opened   opened    target    none     opened
//	security.* attributes, by root          opened   opened    target    none     opened
//	security.* attributes, by another user  refused  refused   refused   none     opened
//	trusted.* attributes, by root           opened   opened    target    none     opened
//	trusted.* attributes, by another user   none     none      none      none     opened
//	file capabilities                       none     none      none      none     none
//	flags of chattr(1)                      none     none      none      none     opened
//	modification time                       new      new       new       new      new
//	birth time                              new      new       new       new      opened
//
// The columns are Commit and CommitAndClose; CommitTo and Link of a MmapMut to a name that is free;
// CommitTo, and the first commit after Create, where a file has the name; the first commit after
// Create where the name is free, and Link of a Mmap; Commit and CommitAndClose with Config.InPlace.
// The attribute is that of the file that was opened, of the file that has the name (target), or of
// a file that open(2) makes there with Config.Perm (new); or the file does not have it (none).
// [MmapMut.Chmod] replaces the mode and the set-id bits in one Commit or CommitAndClose. If the
// cell says "refused", the commit fails and changes nothing, because the kernel lets only root set
// the attribute. An owner or group that the process cannot give to a file fails OpenMut and Create.
// The attributes security.ima and security.evm are left to the kernel, which makes them from the
// contents.
//
// # Whose owner and mode a commit takes
//
// The file that a commit replaces may have been moved to its name by another user. Therefore owner,
// group, mode, ACL and extended attributes of the new file come from one descriptor, which also
// answers all questions about the file that has the name:
//
//	the name leads to                     attributes of the new file
//	the file that was opened or last      those of that file, at the time of the commit
//	committed
//	no file                               those of the file that was opened or last committed
//	another file, with the same owner,    those of that file
//	group, mode, ACL and security labels
//	(security.*)
//	another file                          none: the commit fails with ErrConflict, also without
//	                                      CheckConflict
//
// [MmapMut.Link], and the first commit after [Create] with CheckConflict, need a name that is free,
// and take nothing from a file that has it. Use them, or a directory of your own, where other users
// may write: CommitTo, and the first commit after Create without CheckConflict, replace a file that
// was never opened, and take its owner, group, mode, ACL and extended attributes. In a sticky
// directory that is writable for group or others, such as /tmp, they replace only files of the
// caller and of the directory's owner, and follow only their symbolic links: any other is
// syscall.EACCES, as with os.Create where fs.protected_regular is 2 and fs.protected_symlinks is 1
// (proc(5)), whatever these are set to. Another user may still move a file of the caller there,
// with the mode that it has. In a directory without the sticky bit, whoever may write to it decides
// who owns what they publish. In a user namespace, owners that are not mapped have one number in
// common (user_namespaces(7)), which is never taken for the directory's owner.
//
// Set-user-ID and set-group-ID bits of the file that was opened or last committed stay only if the
// process has CAP_FSETID (capabilities(7)) and its user namespace maps owner and group. Such bits
// of Config.Perm stay on a file of the caller. Such bits of another file, which CommitTo or Create
// replaces, do not stay. File capabilities (security.capability) never stay, not even if root
// commits.
//
// A chmod by another process is taken over until a few system calls before the new file gets its
// name; one that comes later is lost with the old file.
//
// Where a file can only be opened by its name, because /proc is missing or because an NFS or FUSE
// server goes by names, it is recognized by device and inode number. If it lost its name there, its
// extended attributes are those of when it was opened, and so are owner and mode if the server does
// not tell them any more.
//
// # Names that others choose
//
// A name from an archive or from a client, or a name in a directory that others may write to, can
// lead anywhere, by "..", by symbolic links or by a rename at the right moment. With
// [Config].Root, an [os.Root], it leads to a file below that directory or is an error:
//
//	root, err := os.OpenRoot("/srv/data")
//	…
//	m, err := snapshot.Config{Root: root}.Open(ctx, name)
//
// # Other users
//
// An attacker may be another user of the machine, the owner of the file, or a user who may write to
// its directory:
//
//	holds everywhere           no other user can open a private copy, or a new file before it has
//	                           its owner and mode; no change of the file shows in an open snapshot
//	holds in a directory that  Commit gives contents no set-id bit, no capability, no other owner
//	others may write to        and no looser mode; InPlace writes to no other file
//	does not hold there        others can make commits fail, replace the file before and after
//	                           them, and own the file that CommitTo or Create replaces
//	does not hold anywhere     others can delay openings and commits, or make them fail, by leases
//	                           and by the lock of the directory
//
// The file .github/SECURITY.md has the whole threat model, with the tests.
//
// # Errors
//
// Errors are *[fs.PathError], with the name that was given and the operation: open, create, read,
// write, view, prefetch, seek, stat, resize, chmod, commit or close; or readat or writeat, where the
// offset is negative. Errors of CommitTo and Link are *[os.LinkError], with both names:
//
//	open data.bin: no such file or directory
//	open data.bin: no consistent copy: the file is open for writing
//	open /srv: permission denied
//	link data.bin other.bin: file exists
//
// If an errno concerns the name that was given, and there is nothing to add, the error holds the
// errno itself, as with os.Open: os.IsNotExist, os.IsExist and os.IsPermission report it, too. If a
// file cannot be made in the directory of the name, the error has the name of the directory. All
// other errors add a reason or the name of a system call; [errors.Is] alone finds their errno.
//
// errors.Is also finds fs.ErrNotExist, fs.ErrExist and fs.ErrPermission; errors.ErrUnsupported for
// an operation that this kernel or filesystem does not have; fs.ErrClosed after Close;
// fs.ErrInvalid for a FIFO, a socket or a device (a directory is syscall.EISDIR), a negative size,
// and a range of View or Prefetch that is not within the size; the error of a context that ended;
// and [ErrConflict], [ErrUnstable] and [ErrNotDurable]. At the end ReadAt returns io.EOF itself, as
// *os.File does. View returns an error of its f unchanged.
//
// # What to do about an error
//
//	ErrConflict     a commit met a change by another    open the file, make the changes again,
//	                process                             commit; or CommitTo another name
//	ErrUnstable     opening met a process that writes   open it later; without RequireConsistent
//	                                                    if the reason is no consistent copy
//	ErrNotDurable   the commit is done, and a crash     commit again
//	                may undo it
//	EAGAIN          another process holds a lease on    call again
//	                the file, or the lock of its
//	                directory
//	EBUSY           Resize to less while a View runs    call again after the View
//	ErrUnsupported  the text says what is missing       without NoCopy or InPlace, if one is set
//	ErrPermission   the text says whose permission      change it; CommitTo another directory
//	EFBIG           the file would be larger than       raise RLIMIT_FSIZE; write less
//	                RLIMIT_FSIZE, the filesystem or
//	                the address space allows
//	EMFILE          RLIMIT_NOFILE is reached            close snapshots; raise the limit
//	ENOMEM          addresses, mappings or memory       close snapshots; read by ReadAt, not View
//	                have run out
//	ENOSPC, EDQUOT  the disk or the quota is full       free space, call again
//	EIO             the disk failed                     read: call again. If commits fail with it,
//	                                                    open the file and make the changes again
//	                extended attributes cannot be       Create another name, then os.Rename; for
//	                read, which is how the server of    rclone, mount with mount2
//	                a FUSE mount (rclone) answers
//	EFAULT          a View met a full disk for a        call again
//	                moment; or memory of the caller
//	                that cannot be accessed
//	ESTALE          the server replaced the file        open it again
//
// # After a read that fails
//
// If the disk cannot read a page of the private copy, ReadAt, View and Prefetch of it fail with
// syscall.EIO. The snapshot stays open: other pages can be read, a MmapMut can be changed, and the
// next read of the page asks the disk again. If a commit has to copy the data, and reading them is
// EIO, that commit and all later ones fail. A fault in a slice of Bytes ends the program.
//
// If the disk refuses to store dirty pages of the private copy, as a full thin-provisioned disk
// does, the kernel loses them when it needs memory. From then on ReadAt, View and Prefetch fail
// with ENOSPC or EIO, Bytes is nil, and commits fail: open the file again. A Reflink that is only
// read has no dirty pages. Each read of pages that are not known to be in memory asks the kernel
// for such a failure, by sync_file_range(2). Other reads do not ask: for up to five seconds, ReadAt
// and View of pages that are known to be in memory can return zeros or old data. A slice of Bytes
// can hold zeros or old data at any time. If a sandbox refuses sync_file_range(2), reads do not
// ask, and commits fail.
//
// # What each holds
//
// A Mmap holds one descriptor, or, of a small file, its contents in the Go heap; those that share a
// lease hold two between them. A MmapMut holds
// three descriptors (RLIMIT_NOFILE). Each holds one mapping
// (vm.max_map_count) from when one is needed: by a ReadAt or WriteAt of pages that are known to be
// in memory, by View, Bytes or Prefetch. Where the data were copied, the copy takes disk space, or
// memory on tmpfs and, for an Mmap, where no directory could hold it, until Close; there, holes
// take memory, too, once they are read. After Close, its addresses stay taken until the garbage
// collector finds it unreachable, and those that Bytes or View lent for a while longer, 64 GiB of
// them at most (64 MiB on 32 bits), unless addresses run out: they cost no memory but count for
// RLIMIT_AS.
//
// Core dumps do not contain mapped memory (MADV_DONTDUMP).
//
// # Limits
//
// At each of these limits, but where a row says that the program ends, it goes on, all open
// snapshots can be read, and after some are closed, others can be opened:
//
//	limit               error                                 what to do
//	RLIMIT_NOFILE       EMFILE, of opening and of commits     close snapshots; raise it
//	vm.max_map_count    ENOMEM, of View and Prefetch; Bytes   close snapshots; raise the sysctl
//	                    is nil; ReadAt and WriteAt use
//	                    pread(2) and pwrite(2). 512 mappings
//	                    are left to the program
//	addresses: half of  the same; a file of more than 7/8 of  close snapshots; raise RLIMIT_AS
//	those of a process  that cannot be opened: ENOMEM. Files
//	(2^46 bytes on      of more than 1/64 are mapped only
//	amd64), or of       while less than half is used, and 1/8
//	RLIMIT_AS           is left to files of at most 1/65536
//	RLIMIT_MEMLOCK      the same, after mlockall(MCL_FUTURE)  raise it by the size of all
//	                    of a user without CAP_IPC_LOCK; but   snapshots that are mapped and by
//	                    the Go runtime ends the program if    what the heap grows; munlockall(2)
//	                    it cannot lock memory of its own
//	RLIMIT_FSIZE        EFBIG, of opening a file that is      raise it
//	(ulimit -f)         larger, also to read it unless it is
//	                    small, and of WriteGrow and Resize
//	disk space          ENOSPC, of OpenMut, and of opening    free space, and call again
//	                    more than 64 MiB to read, where the
//	                    data are copied; of WriteAt,
//	                    WriteGrow, View and commits
//	inodes              ENOSPC, of the same openings; a       the same
//	                    snapshot takes one, a commit another
//	                    for a moment
//	quota               EDQUOT, as for disk space             raise it, and call again
//	TempDir             ENOSPC, of opening more than 64 MiB;  another Config.TempDir
//	                    the error names TempDir
//	memory, by a        copies on a disk: none. Copies on     a TempDir on a disk; raise
//	control group       tmpfs and in memory count, and the    memory.max
//	                    kernel ends the program
//
// A file must fit into the address space. While the filesystem is frozen (fsfreeze(8)), opening a
// file waits as writing to it would, whatever becomes of the context; a small file of which a lease
// can be had is read. Off Linux, opening fails with
// [errors.ErrUnsupported]. The garbage collector does not know mapped memory, and the race detector
// does not watch it.
package snapshot
