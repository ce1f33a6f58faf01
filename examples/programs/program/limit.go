package program

import (
	"flag"
	"fmt"
	"math"
	"math/bits"
)

// A Limit is how many bytes a program writes of an archive at most. An archive of some KiB can
// claim to hold as much as no disk does.
type Limit struct{ mib int64 }

// NewLimit defines the flag -limit.
func NewLimit(flags *flag.FlagSet) *Limit {
	l := new(Limit)
	flags.Int64Var(&l.mib, "limit", 0, "write at most this many `MiB`; 0 means 100 times the size of the archive,"+
		" but at least 1024")
	return l
}

// Check returns an error if the sizes of members are more, together, than may be written of an
// archive of that size.
func (l *Limit) Check(archive int64, sizes ...uint64) error {
	if l.mib < 0 || l.mib > math.MaxInt64>>20 {
		return Usage("-limit must be between 0 and %d, not %d", int64(math.MaxInt64>>20), l.mib)
	}
	most := uint64(l.mib) << 20
	if l.mib == 0 {
		most = max(1<<30, uint64(min(archive, math.MaxInt64/100))*100)
	}
	total := uint64(0)
	for _, size := range sizes {
		var carry uint64
		if total, carry = bits.Add64(total, size, 0); carry > 0 {
			total = math.MaxUint64
			break
		}
	}
	if total > most {
		return fmt.Errorf("nothing is written: the contents have %d bytes, the limit is %d"+
			" (-limit sets another)", total, most)
	}
	return nil
}
