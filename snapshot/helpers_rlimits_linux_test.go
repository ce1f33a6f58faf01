package snapshot_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// setLimit sets a resource limit of this process. It skips the test if that may not be so high.
func setLimit(t *testing.T, resource int, n uint64) (undo func()) {
	t.Helper()
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(resource, &old))
	if old.Max < n {
		t.Skipf("the limit may be %d at most", old.Max)
	}
	must(t, syscall.Setrlimit(resource, &syscall.Rlimit{Cur: n, Max: old.Max}))
	return func() { must(t, syscall.Setrlimit(resource, &old)) }
}

// leaveMappings maps a page so often that n mappings can still be made.
func leaveMappings(t *testing.T, n int) (undo func()) {
	t.Helper()
	most := 0
	text, err := os.ReadFile("/proc/sys/vm/max_map_count")
	must(t, err)
	_, err = fmt.Sscan(string(text), &most)
	must(t, err)
	if most > 1<<20 {
		t.Skipf("vm.max_map_count is %d: to make so many mappings takes long", most)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	return mapPages(t, most-n-bytes.Count(maps, []byte("\n")))
}

// lockedMemory returns how many bytes this process has locked.
func lockedMemory(t *testing.T) (n int64) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	must(t, err)
	_, after, _ := strings.Cut(string(status), "\nVmLck:")
	_, err = fmt.Sscan(after, &n)
	must(t, err)
	return n << 10
}

// mapPages makes n mappings.
func mapPages(t *testing.T, n int) (undo func()) {
	t.Helper()
	fd, err := unix.MemfdCreate("limits", unix.MFD_CLOEXEC)
	must(t, err)
	page := os.Getpagesize()
	must(t, unix.Ftruncate(fd, int64(page)))
	taken := make([][]byte, 0, n) // pages of one offset, which the kernel does not join
	for range n {
		b, err := unix.Mmap(fd, 0, page, unix.PROT_READ, unix.MAP_SHARED)
		must(t, err)
		taken = append(taken, b)
	}
	must(t, unix.Close(fd))
	return func() {
		for _, b := range taken {
			must(t, unix.Munmap(b))
		}
	}
}

// takeDescriptors opens files until there are no more descriptors.
func takeDescriptors(t *testing.T) (undo func()) {
	t.Helper()
	var taken []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, unix.EMFILE) {
			break
		}
		must(t, err)
		taken = append(taken, f)
	}
	return func() {
		for _, f := range taken {
			must(t, f.Close())
		}
	}
}

// leaveBlocks makes a file so large that n bytes of a filesystem are left.
func leaveBlocks(t *testing.T, dir string, n int64) {
	t.Helper()
	must(t, syncfs(dir)) // what is not written yet has blocks then
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	f, err := os.Create(join(dir, "filler"))
	must(t, err)
	defer f.Close()
	must(t, unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*int64(st.Bsize)-n))
	must(t, syncfs(dir))
}

// leaveInodes makes so many files that n more can be made. It skips the test if the filesystem has
// no fixed number of them, or very many.
func leaveInodes(t *testing.T, dir string, n int) {
	t.Helper()
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	if st.Ffree == 0 || st.Ffree > 20_000 {
		t.Skipf("%d inodes are free: a full disk comes first", st.Ffree)
	}
	at := join(dir, "inodes")
	must(t, os.Mkdir(at, 0o755))
	for i := range int(st.Ffree) - 1 - n {
		f, err := os.Create(join(at, fmt.Sprint(i)))
		must(t, err)
		must(t, f.Close())
	}
}
