package publish

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"strconv"
)

// randomNames is how many random names are tried for a temporary file.
const randomNames = 100

// withTempName calls create, which makes a file of the given name, with temporary names for a file
// until one is free. The first one is fixed, so that what a crash leaves can be found: clear,
// called if that is taken, removes a leftover and reports whether it did. Another user can take the
// fixed name for good, so the others are random.
func withTempName(base string, clear func(name string) bool, create func(name string) error) error {
	name := TempName(base)
	err := create(name)
	if errors.Is(err, fs.ErrExist) && clear(name) {
		err = create(name)
	}
	for i := 0; errors.Is(err, fs.ErrExist) && i < randomNames; i++ {
		err = create(tempName(base, strconv.FormatUint(rand.Uint64(), 16)))
	}
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("no temporary name is free: %w", err)
	}
	return err
}

// TempName returns the fixed temporary name for a file.
func TempName(base string) string { return tempName(base, "0") }

// tempName returns a temporary name for a file: the hash keeps it short, whatever the name is.
func tempName(base, k string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(base))
	return fmt.Sprintf(".%016x.mmapsnapshot-%s", h.Sum64(), k)
}
