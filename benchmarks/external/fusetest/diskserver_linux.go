package fusetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const diskName = "disk"

// sector is what all requests are multiples of.
const sector = 512

// background is how many requests the kernel may send ahead of the replies. The default of 12
// would be more of a bottleneck than the delays.
const background = 256

// serveDisk serves a directory with one file.
func serveDisk(hello message) (func(message) (message, error), error) {
	// In memory, so that a write never waits for another disk, or for memory that can be had
	// only by writing to this one.
	fd, err := unix.MemfdCreate(diskName, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	d := &disk{data: os.NewFile(uintptr(fd), diskName), size: hello.Size}
	if err := d.data.Truncate(d.size); err != nil {
		return nil, err
	}
	_, err = fs.Mount(fmt.Sprint("/dev/fd/", device), &diskDir{disk: d}, &fs.Options{MountOptions: fuse.MountOptions{
		MaxBackground: background,
		MaxWrite:      maxRequest,
		DisableXAttrs: true,
		DisableSplice: true, // it wants /dev/null
		// A loop device asks by asynchronous direct I/O. Without this the kernel would wait for
		// one request before it sends the next.
		ExtraCapabilities: fuse.CAP_ASYNC_DIO,
	}})
	return d.answer, err
}

// A diskDir is a directory with one file.
type diskDir struct {
	fs.Inode
	disk *disk
}

func (r *diskDir) OnAdd(ctx context.Context) {
	r.AddChild(diskName, r.NewPersistentInode(ctx, r.disk, fs.StableAttr{Mode: syscall.S_IFREG}), false)
}

type disk struct {
	fs.Inode
	data *os.File // constant, and so is size
	size int64

	gate gate

	// mu guards what follows.
	mu     sync.Mutex
	faults faults
	stats  Stats
	now    int64 // reads under way
}

// answer does what a message from the test says.
func (d *disk) answer(m message) (reply message, err error) {
	if m.Content != nil {
		reply.Found, err = d.find(m.Content)
		return reply, err
	}
	if m.Held {
		reply.Holding = d.gate.holding()
		return reply, nil
	}
	if m.Faults != nil {
		d.gate.hold(m.Faults.Holds)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if m.Faults != nil {
		d.faults = *m.Faults
	}
	if m.Stats != nil {
		stats := d.stats
		reply.Stats, d.stats = &stats, Stats{}
	}
	return reply, nil
}

// find looks at what is not a hole.
func (d *disk) find(content []byte) (found []Range, err error) {
	const chunk = 1 << 20
	buf := make([]byte, chunk+len(content))
	for off := int64(0); ; off += chunk {
		off, err = d.data.Seek(off, unix.SEEK_DATA)
		if errors.Is(err, syscall.ENXIO) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		n, _ := d.data.ReadAt(buf, off) // less at the end
		for at := 0; at < chunk && at+len(content) <= n; at += sector {
			if bytes.Equal(buf[at:at+len(content)], content) {
				found = append(found, Range{off + int64(at), int64(len(content))})
			}
		}
	}
}

// read notes that a read begins, and returns how long it takes and whether it fails.
func (d *disk) read(off, n int64) (delay time.Duration, fails bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now++
	d.stats.Reads++
	d.stats.ReadBytes += n
	d.stats.Most = max(d.stats.Most, d.now)
	fails = anyOverlaps(d.faults.Reads, off, n)
	if fails {
		d.stats.FailedReads++
	}
	return d.faults.Delay, fails
}

// write notes a write of p, or of n zeros if p is nil, and returns whether it fails.
func (d *disk) write(p []byte, off, n int64) (fails bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Writes++
	fails = anyOverlaps(d.faults.Writes, off, n)
	for ; len(p) >= sector && d.faults.Marker != nil && !fails; p = p[sector:] {
		fails = bytes.HasPrefix(p, d.faults.Marker)
	}
	if fails {
		d.stats.FailedWrites++
	}
	return fails
}

func anyOverlaps(ranges []Range, off, n int64) bool {
	for _, r := range ranges {
		if r.overlaps(off, n) {
			return true
		}
	}
	return false
}

func (d *disk) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = syscall.S_IFREG | 0o600
	out.Size = uint64(d.size)
	return 0
}

func (d *disk) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (d *disk) Read(_ context.Context, _ fs.FileHandle, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	delay, fails := d.read(off, int64(len(p)))
	time.Sleep(delay)
	passed := d.gate.pass(off, int64(len(p)))
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.now--
	}()
	if fails || !passed {
		return nil, syscall.EIO
	}
	n, err := unix.Pread(int(d.data.Fd()), p, off)
	return fuse.ReadResultData(p[:max(n, 0)]), fs.ToErrno(err)
}

func (d *disk) Write(_ context.Context, _ fs.FileHandle, p []byte, off int64) (uint32, syscall.Errno) {
	if d.write(p, off, int64(len(p))) {
		return 0, syscall.EIO
	}
	n, err := d.data.WriteAt(p, off)
	return uint32(n), fs.ToErrno(err)
}

// Allocate makes zeros, which it is asked for to discard and to clear: both are holes, or making
// a filesystem would fill memory with zeros.
func (d *disk) Allocate(_ context.Context, _ fs.FileHandle, off, n uint64, mode uint32) syscall.Errno {
	if mode&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) == 0 {
		return syscall.EOPNOTSUPP
	}
	if d.write(nil, int64(off), int64(n)) {
		return syscall.EIO
	}
	const hole = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	return fs.ToErrno(unix.Fallocate(int(d.data.Fd()), hole, int64(off), int64(n)))
}

// Fsync also fails if writes do everywhere: a disk that cannot write cannot flush.
func (d *disk) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.faults.Writes {
		if r == Everything {
			return syscall.EIO
		}
	}
	return 0
}
