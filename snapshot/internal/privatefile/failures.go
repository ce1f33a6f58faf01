package privatefile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// A failure is why a candidate cannot hold a private file.
type failure struct {
	place string
	err   error
}

// failures are those of the candidates that were tried, in their order.
type failures []failure

// last returns an error that is the last failure, or nil if there is none. Its text has the others,
// too.
func (f failures) last() error {
	if len(f) == 0 {
		return nil
	}
	return f.wrap(len(f) - 1)
}

// full returns an error that is the first failure of a place that is full, or nil if there is none.
func (f failures) full() error {
	for i := range f {
		if errors.Is(f[i].err, syscall.ENOSPC) || errors.Is(f[i].err, syscall.EDQUOT) {
			return f.wrap(i)
		}
	}
	return nil
}

// text returns the texts of all failures.
func (f failures) text() string {
	var texts []string
	for _, one := range f {
		texts = append(texts, fmt.Sprintf("%s: %v", one.place, one.err))
	}
	return strings.Join(texts, "; ")
}

// wrap returns an error with the texts of all failures, of which the last, the i-th, is wrapped.
// errors.Is must not match the others: a TempDir that does not exist must not be taken for a file
// that does not exist.
func (f failures) wrap(i int) error {
	if len(f) == 1 {
		return f[0].err
	}
	others := slices.Delete(slices.Clone(f), i, i+1)
	return fmt.Errorf("%s; %s: %w", others.text(), f[i].place, f[i].err)
}
