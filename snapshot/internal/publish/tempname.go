package publish

import (
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
)

// Before a file without a name can replace one that has a name it needs a name of its own, for
// an instant: linkat never replaces, rename needs a name. There are this many fixed ones for
// each file, so that what crashes in that instant leave is bounded, and random ones for when
// all are in use.
const fixedNames = 8

const randomNames = 100

var errNoName = fmt.Errorf("no temporary name is free: %w", fs.ErrExist)

// temporaryName returns the name to try as the i-th.
func temporaryName(base string, i int) string {
	if i < fixedNames {
		return TempName(base, uint64(i))
	}
	return TempName(base, rand.Uint64())
}

// TempName returns a temporary name for a file: the hash keeps it short, whatever the name is.
func TempName(base string, k uint64) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(base))
	return fmt.Sprintf(".%016x.mmapsnapshot-%d", h.Sum64(), k)
}
