package fusetest

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// serveTree serves the directory that it was given a descriptor of. That is its working directory, and all
// names are relative to it: there are no others here, see leaveMounts.
func serveTree(hello message) (func(message) (message, error), error) {
	if err := syscall.Fchdir(directory); err != nil {
		return nil, os.NewSyscallError("fchdir", err)
	}
	syscall.Umask(0) // the kernel has applied that of the caller
	root, err := fs.NewLoopbackRoot(".")
	if err != nil {
		return nil, err
	}
	options := &fs.Options{
		AttrTimeout:  &hello.Tree.Cache,
		EntryTimeout: &hello.Tree.Cache,
		MountOptions: fuse.MountOptions{
			MaxWrite:      maxRequest,
			DisableSplice: true, // it wants /dev/null
			// Else the kernel would read and write the files behind it without asking.
			DisabledCapabilities: fuse.CAP_PASSTHROUGH,
		},
	}
	if hello.Tree.Writeback {
		options.ExtraCapabilities = fuse.CAP_WRITEBACK_CACHE
	}
	t := &tree{RawFileSystem: fs.NewNodeFS(root, options), config: *hello.Tree}
	server, err := fuse.NewServer(t, fmt.Sprint("/dev/fd/", device), &options.MountOptions)
	if err != nil {
		return nil, err
	}
	go server.Serve()
	return t.answer, server.WaitMount()
}

// A tree passes requests on to a real filesystem, if they are not to fail.
type tree struct {
	fuse.RawFileSystem
	config TreeConfig // constant

	// names is owned by requests that change names, and shared by those that go by names, which would
	// take one file for another otherwise: a rename is done before the server knows that it is.
	names sync.RWMutex

	gate gate

	// mu guards what follows.
	mu       sync.Mutex
	troubles troubles
	requests TreeRequests
	n        int64 // of them, since the troubles began
}

// answer does what a message from the test says.
func (t *tree) answer(m message) (reply message, err error) {
	if m.Held {
		reply.Holding = t.gate.holding()
		return reply, nil
	}
	if m.Troubles != nil {
		t.gate.hold(m.Troubles.Holds)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.Troubles != nil {
		t.troubles, t.n = *m.Troubles, 0
	}
	if m.Requests != nil {
		requests := t.requests
		reply.Requests = &requests
	}
	t.requests = TreeRequests{Got: map[string]int64{}}
	return reply, nil
}

// do does a request by calling pass, unless it is to fail.
func (t *tree) do(request string, pass func() fuse.Status) fuse.Status {
	errno, die := t.note(request)
	if die == DieBefore {
		dieNow()
	}
	if errno != 0 {
		return fuse.Status(errno)
	}
	switch request {
	case "RENAME", "RENAME2", "LINK", "UNLINK", "CREATE", "TMPFILE":
		t.names.Lock()
		defer t.names.Unlock()
	case "READ", "WRITE", "COPY_FILE_RANGE", "FSYNC": // of what is open
	default:
		t.names.RLock()
		defer t.names.RUnlock()
	}
	status := pass()
	if die == DieAfter {
		dieNow()
	}
	return status
}

// note counts a request, and says whether it fails and whether the server dies of it.
func (t *tree) note(request string) (errno syscall.Errno, die string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.requests.Got == nil {
		t.requests.Got = map[string]int64{}
	}
	t.requests.Got[request]++
	t.n++
	switch {
	case slices.Contains(t.config.Lacks, request):
		return syscall.ENOSYS, ""
	case t.n == t.troubles.Nth || request == t.troubles.At:
		t.requests.Bad = request
		return t.troubles.Errno, t.troubles.Die
	}
	errno = t.troubles.Fails[request]
	if errno != 0 {
		t.requests.Bad = request
	}
	return errno, ""
}

func dieNow() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until it comes
}

// gone returns status, or what to say instead of a file that has no name.
func (t *tree) gone(status fuse.Status) fuse.Status {
	if status == fuse.ENOENT && t.config.Gone != 0 {
		return fuse.Status(t.config.Gone)
	}
	return status
}

// Read takes its time.
func (t *tree) Read(c <-chan struct{}, in *fuse.ReadIn, buf []byte) (r fuse.ReadResult, status fuse.Status) {
	return r, t.do("READ", func() fuse.Status {
		delay, fails := t.reading(int64(in.Offset), int64(in.Size))
		time.Sleep(delay)
		if passed := t.gate.pass(int64(in.Offset), int64(in.Size)); fails || !passed {
			return fuse.EIO
		}
		r, status = t.RawFileSystem.Read(c, in, buf)
		return status
	})
}

// reading returns how long a read takes and whether it fails.
func (t *tree) reading(off, n int64) (time.Duration, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.troubles.Delay, anyOverlaps(t.troubles.Reads, off, n)
}

// The kernel asks for what the standard calls RENAME if there are no flags.
func (t *tree) Rename(c <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	name := "RENAME"
	if in.Flags != 0 {
		name = "RENAME2"
	}
	return t.do(name, func() fuse.Status { return t.RawFileSystem.Rename(c, in, oldName, newName) })
}
