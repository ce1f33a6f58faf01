package snapshot_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// evictions drop pages of private files from memory, as the kernel does when it needs some, but
// from outside: by what /proc says of this process. A snapshot that is closed meanwhile does no
// harm, because nothing is lost whichever memory or file is meant.
type evictions struct {
	pages   uint64 // that were in memory and are not any more
	left    uint64 // that are there still
	private int    // files looked at
	err     error  // why it cannot be seen
}

// evict drops what can be dropped of the private files in dir.
func (e *evictions) evict(dir string) {
	unmapAll(dir)
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		e.err = err
		return
	}
	for _, entry := range entries {
		link := "/proc/self/fd/" + entry.Name()
		if to, _ := os.Readlink(link); strings.HasPrefix(to, dir+"/") && strings.HasSuffix(to, " (deleted)") {
			e.drop(link)
		}
	}
}

// drop writes a private file to the disk, and then drops it from memory. It is opened anew, so
// that an error of the disk is still reported to others.
func (e *evictions) drop(link string) {
	f, err := os.Open(link) // only root can, as a private file has mode 0
	if errors.Is(err, fs.ErrNotExist) {
		return // closed since
	}
	if err != nil {
		e.err = err
		return
	}
	defer f.Close()
	fd := int(f.Fd())
	_ = unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
	before, err := cached(fd)
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
	after, err2 := cached(fd)
	if err != nil || err2 != nil {
		e.err = errors.Join(err, err2)
		return
	}
	e.private++
	e.left += after
	if after < before {
		e.pages += before - after
	}
}

// cached returns how many pages of a file are in memory.
func cached(fd int) (uint64, error) {
	var st unix.Cachestat_t
	err := unix.Cachestat(uint(fd), &unix.CachestatRange{}, &st, 0) // since Linux 6.5
	return st.Cache, os.NewSyscallError("cachestat", err)
}

// unmapAll takes the pages of the private files in dir out of the page tables: those that are
// in there cannot be dropped.
func unmapAll(dir string) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to uintptr
		if !strings.Contains(lines.Text(), " "+dir+"/") {
			continue
		}
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x", &from, &to); err == nil {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_PAGEOUT)
		}
	}
}

// report fails the test if nothing was evicted where that is possible.
func (e *evictions) report(t *testing.T, dir string) {
	t.Logf("%d pages of %d private files evicted; %v", e.pages, e.private, e.err)
	if e.pages == 0 && e.err == nil && mounttest.Has(dir, mounttest.Disk) {
		t.Error("no page was evicted")
	}
}
