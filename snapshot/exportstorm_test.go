//go:build linux

package snapshot

import (
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"

	mathbits "math/bits"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// EmptyQuarantine gives back the addresses of which slices may still be about.
func EmptyQuarantine() { mapped.Quarantined.Empty() }

// Known counts the pages that a snapshot takes to be in memory.
func Known(m any) (n int) {
	for i := range mappingOf(m).Resident {
		if l := mappingOf(m).Resident[i].Load(); l != nil {
			for w := range l {
				n += mathbits.OnesCount64(l[w].Load())
			}
		}
	}
	return n << mapped.PageShift / os.Getpagesize()
}

// InMemory counts the pages of a snapshot that are in memory.
func InMemory(tb testing.TB, m any) (n int) {
	tb.Helper()
	mem := mappingOf(m).Mem
	vec := make([]byte, (len(mem)-1)/os.Getpagesize()+1)
	if err := syscalls.Mincore(mem, vec); err != nil {
		tb.Fatal(err)
	}
	for _, v := range vec {
		n += int(v & 1)
	}
	return n
}

// Quarantine tells how many bytes of addresses are kept from reuse.
func Quarantine() int {
	mapped.Quarantined.Mu.Lock()
	defer mapped.Quarantined.Mu.Unlock()
	return mapped.Quarantined.Bytes
}
