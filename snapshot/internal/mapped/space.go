package mapped

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
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
//
// Addresses are limited, too, and a sparse file takes many: the package takes half of them at most,
// and files that need more than a 64th of that are mapped only while less than half of it is used.
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
	bytes   int64      // of all ranges
	ranges  int        // mapped and not unmapped yet, those in quarantine included
	changes int        // counts ranges that were unmapped, or can be once they are unreachable
	limit   int        // vm.max_map_count
	total   int        // mappings of the process when they were last counted; 0: they never were
	added   int        // mappings made since then, less those that are certainly gone
	then    int        // ranges when they were last counted
	counted usage      // when that was tried last
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
type limitError struct {
	why   string
	never bool // whatever is unmapped
}

func (e *limitError) Error() string { return e.why + ": " + syscall.ENOMEM.Error() }
func (e *limitError) Unwrap() error { return syscall.ENOMEM }

// take returns the length bytes of memory that call maps, unless a limit keeps them from being
// mapped. Of what is mapped, less bytes will be given back soon. Core dumps leave the memory out.
func (s *addressSpace) take(length int, less int64, call func() ([]byte, error)) ([]byte, error) {
	if err := s.reserve(int64(length), less); err != nil {
		return nil, err
	}
	mem, err := call()
	if err == nil {
		_ = sys.DontDump(mem) // without it, the memory is as good
		return mem, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ranges--
	s.added--
	s.bytes -= int64(length)
	if errors.Is(err, syscall.EAGAIN) {
		return nil, &limitError{why: "RLIMIT_MEMLOCK is too low, because mlockall(2) locks all memory"}
	}
	return nil, err
}

// reserve counts one more mapping, or returns an error.
func (s *addressSpace) reserve(length, less int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fits(length, less); err != nil {
		return err
	}
	full := s.left() <= spare(s.limit)
	due := s.added >= nextCount || s.added >= firstCount && s.total == 0
	if due || full && s.counted.outdated(s.changes) {
		s.count()
	}
	if s.left() <= spare(s.limit) {
		return &limitError{why: fmt.Sprintf("the program has %d memory mappings, the sysctl vm.max_map_count "+
			"allows %d, and the last ones are kept for the Go runtime", s.total+s.added, s.limit)}
	}
	s.ranges++
	s.added++
	s.bytes += length
	return nil
}

// fits returns an error if the addresses do not suffice for length bytes, once less bytes of them
// are given back. The caller holds mu.
func (s *addressSpace) fits(length, less int64) error {
	budget, of := addressBudget()
	used, most := s.bytes-less, largest(budget)
	switch {
	case length > most:
		return &limitError{fmt.Sprintf("%d bytes are more than the %d that a snapshot may map, of %s",
			length, most, of), true}
	case length > budget/64 && (used >= budget/2 || length > most-used):
		return &limitError{why: fmt.Sprintf("snapshots have mapped %d bytes, of %s, and leave the rest to "+
			"files of less than %d bytes", used, of, length)}
	case length > budget>>smallShift && length > most-used:
		return &limitError{why: fmt.Sprintf("snapshots have mapped %d bytes, of %s, and leave the rest to "+
			"files of at most %d bytes", used, of, budget>>smallShift)}
	case length > budget-used:
		return &limitError{why: fmt.Sprintf("snapshots have mapped %d bytes, half of %s", used, of)}
	}
	return nil
}

// smallShift says which files may use all of the budget: those of 1 GiB at most on amd64.
const smallShift = 16

// largest returns how much of a budget files that are not small may use.
func largest(budget int64) int64 { return budget / 8 * 7 }

// check returns an error if length bytes can never be mapped.
func (s *addressSpace) check(length int64) error {
	if budget, _ := addressBudget(); length <= largest(budget) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fits(length, 0)
}

// canFit reports whether the addresses suffice for length bytes, once less bytes are given back.
func (s *addressSpace) canFit(length, less int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fits(length, less) == nil
}

// maxBudget is half of the addresses that a process has on the architecture.
func maxBudget() int64 {
	switch {
	case math.MaxInt == math.MaxInt32:
		return math.MaxInt
	case runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64":
		return 1 << 46
	}
	return 1 << 37 // as on riscv64 with three levels of page tables
}

// addressBudget returns how many bytes this package maps at most, which is half of what it says.
func addressBudget() (budget int64, of string) {
	budget, of = maxBudget(), "all addresses"
	if limit, err := sys.AddressLimit(); err == nil && limit/2 < budget {
		return limit / 2, fmt.Sprintf("the %d bytes of RLIMIT_AS", limit)
	}
	return budget, of
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
	return s.left() > spare(s.limit)/4
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
	err := s.read("/proc/self/maps", func(b []byte) { total += bytes.Count(b, []byte("\n")) })
	if err != nil || total == 0 {
		s.added = s.ranges - s.then // there may be no descriptor left, say
		return
	}
	s.total, s.added, s.then = total, 0, s.ranges
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
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		f(s.buf[:n])
	}
}

// giveBack unmaps a range. The kernel joins revoked ranges that are neighbours, and unmapping one
// of them, where that leaves two, takes one more mapping: it can fail at the limit. Then it is
// tried again after the next that succeeds.
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
	s.bytes -= int64(len(mem))
	s.changes++
	if !revoked {
		s.added--
	}
	return true
}
