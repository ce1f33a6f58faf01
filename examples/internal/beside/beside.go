// Package beside is for tests that run an example while somebody changes its files.
package beside

import (
	"sync"
	"sync/atomic"
	"testing"
)

// Do calls f with 0, 1, 2 and so on, as many times as rounds says, while another goroutine does so
// with change; and more often, if by then change was not done twice.
func Do(tb testing.TB, rounds int, change func(i int) error, f func(i int)) {
	tb.Helper()
	var (
		stopped  atomic.Bool
		changes  atomic.Int64
		changing sync.WaitGroup
	)
	changing.Go(func() {
		for i := 0; !stopped.Load(); i++ {
			if err := change(i); err != nil {
				tb.Error(err)
				return
			}
			changes.Add(1)
		}
	})
	defer changing.Wait()
	defer stopped.Store(true)
	for i := 0; i < rounds || changes.Load() < 2 && !tb.Failed(); i++ {
		f(i)
	}
}
