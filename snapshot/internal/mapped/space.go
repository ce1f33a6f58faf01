package mapped

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// The kernel limits how many mappings a process has. A program at that limit does not live long:
// the Go runtime ends it when the heap, the stack of a thread or the garbage collector needs one
// more. So this package counts the mappings and refuses to add one when there are few left.
const (
	// mostMappings is the kernel's default of vm.max_map_count.
	mostMappings = 65530

	// firstCount and nextCount are after how many new mappings those of the process are counted. A
	// count of 65 000 mappings takes 30 ms.
	firstCount = 64
	nextCount  = 1000
)

// spare returns how many mappings below the limit are left to the rest of the program.
func spare(limit int) int { return min(512, limit/8) }

// retryAfter is for how long a limit that was met is taken to be there still, unless this package
// unmaps something.
const retryAfter = time.Second

var space addressSpace

// An addressSpace is what the mappings of this package take of the process's addresses.
type addressSpace struct {
	mu      sync.Mutex // guards what follows
	ranges  int        // mapped and not unmapped yet, those in quarantine included
	changes int        // counts ranges that were unmapped, or can be once they are unreachable
	limit   int        // vm.max_map_count
	total   int        // mappings of the process when they were last counted; 0: they never were
	added   int        // mappings made since then, less those that are certainly gone
	counted usage      // when they were counted
	stuck   [][]byte   // ranges that could not be unmapped
	buf     [4096]byte // for reading /proc; at the limit there may be no memory for another
}

// A usage is a point in time.
type usage struct {
	at      time.Time
	changes int // addressSpace.changes then
}

// outdated reports whether less may be mapped now.
func (u usage) outdated(changes int) bool {
	return changes != u.changes || time.Since(u.at) >= retryAfter
}

// A limitError says which limit keeps memory from being mapped.
type limitError string

func (e limitError) Error() string { return string(e) + ": " + syscall.ENOMEM.Error() }
func (e limitError) Unwrap() error { return syscall.ENOMEM }

// take returns the memory that call maps, unless a limit keeps it from being mapped.
func (s *addressSpace) take(call func() ([]byte, error)) ([]byte, error) {
	if err := s.reserve(); err != nil {
		return nil, err
	}
	mem, err := call()
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ranges--
		s.added--
	}
	return mem, err
}

// reserve counts one more mapping, or returns an error.
func (s *addressSpace) reserve() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := s.left() <= spare(s.limit)
	if s.total == 0 && s.added >= firstCount || s.added >= nextCount || full && s.counted.outdated(s.changes) {
		s.count()
	}
	if s.total > 0 && s.left() <= spare(s.limit) {
		return limitError(fmt.Sprintf("the program has %d memory mappings, of %d that the sysctl "+
			"vm.max_map_count allows, and the rest is kept for the Go runtime", s.total+s.added, s.limit))
	}
	s.ranges++
	s.added++
	return nil
}

// left returns how many mappings can still be made. The caller holds mu.
func (s *addressSpace) left() int {
	if s.limit == 0 {
		s.limit = mostMappings
	}
	return s.limit - s.total - s.added
}

// hasRoom reports whether the program is so far from the limit that the garbage collector can run,
// which ends the program if it cannot map memory of its own.
func (s *addressSpace) hasRoom() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count()
	return s.total == 0 || s.left() > spare(s.limit)/4
}

// closed notes that a range is to be unmapped once it is unreachable.
func (s *addressSpace) closed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
}

// state returns how many ranges are mapped, and the changes.
func (s *addressSpace) state() (ranges, changes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ranges, s.changes
}

// count counts the mappings of the process, if there is a /proc. The caller holds mu.
func (s *addressSpace) count() {
	total := 0
	s.counted = usage{time.Now(), s.changes}
	if s.read("/proc/self/maps", func(b []byte) { total += bytes.Count(b, []byte("\n")) }) != nil {
		return
	}
	s.total, s.added = total, 0
	_ = s.read("/proc/sys/vm/max_map_count", func(b []byte) {
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && n > 0 {
			s.limit = n
		}
	})
}

// read gives f the contents of a file in pieces. It allocates little. The caller holds mu.
func (s *addressSpace) read(name string, f func(b []byte)) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	for {
		n, err := file.Read(s.buf[:])
		if n == 0 {
			return nil // io.EOF
		}
		if err != nil {
			return err
		}
		f(s.buf[:n])
	}
}

// giveBack unmaps a range. The kernel joins revoked ranges that are neighbours, and unmapping one of
// them, where that leaves two, takes one more mapping: it can fail at the limit. Then it is tried
// again after the next that succeeds.
func (s *addressSpace) giveBack(mem []byte, revoked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.unmap(mem, revoked) {
		s.stuck = append(s.stuck, mem)
		return
	}
	for len(s.stuck) > 0 && s.unmap(s.stuck[len(s.stuck)-1], true) {
		s.stuck = s.stuck[:len(s.stuck)-1]
	}
}

func (s *addressSpace) unmap(mem []byte, revoked bool) bool {
	if sys.Munmap(mem) != nil {
		return false
	}
	s.ranges--
	s.changes++
	if !revoked {
		s.added--
	}
	return true
}
