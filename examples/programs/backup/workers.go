package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

// parallel calls do with each entry, a number of them at a time, until one fails, whose error it
// returns, or the context ends.
func parallel(ctx context.Context, entries []*entry, jobs int, do func(ctx context.Context, e *entry) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan *entry)
	var workers sync.WaitGroup
	for range min(jobs, len(entries)) {
		workers.Go(func() {
			for e := range work {
				if err := do(ctx, e); err != nil {
					cancel(err) // the first one counts
				}
			}
		})
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			break
		}
		work <- e
	}
	close(work)
	workers.Wait()
	return context.Cause(ctx)
}

// copyAll copies everything that is not a directory. What cannot be read is left out; what
// cannot be written ends it.
func (c *copier) copyAll(ctx context.Context, jobs int) error {
	update, end := c.std.Progress("copying")
	defer end()
	progress := func(n int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.done += int64(n)
		update(c.done, c.size)
	}
	copied := make(map[*entry]bool, len(c.entries))
	err := parallel(ctx, c.entries, jobs, func(ctx context.Context, e *entry) error {
		var lack *lackError
		err := c.copyEntry(ctx, e, progress)
		if errors.As(err, &lack) {
			c.lack(string(e.Path), lack.err)
			return nil
		}
		if err == nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			copied[e] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	kept := c.entries[:0]
	for _, e := range c.entries {
		if copied[e] {
			kept = append(kept, e)
		}
	}
	c.entries = kept
	return nil
}

// A lackError is a reason why a file cannot be in the copy that is no reason to give it up.
type lackError struct{ err error }

func (e *lackError) Error() string { return e.err.Error() }

// report prints what was done.
func (c *copier) report() {
	methods, files, kept := map[string]int{}, 0, 0
	for _, e := range c.entries {
		if e.Kept != nil {
			kept++
		}
		if e.Method != "" {
			methods[e.Method]++
			files++
		}
	}
	fmt.Fprintf(c.std.Out, "%s, %s", program.Count(files, "file", "files"),
		program.Count(c.done, "byte", "bytes"))
	for _, m := range []string{linked, copiedOf + "reflink", copiedOf + "leased copy", copiedOf + "compared copy"} {
		if methods[m] > 0 {
			fmt.Fprintf(c.std.Out, "; %d by %s", methods[m], m)
		}
	}
	if methods[changed] > 0 {
		fmt.Fprintf(c.std.Out, "; %d by %s, %s read", methods[changed], changed,
			program.Count(c.read, "byte", "bytes"))
	}
	if c.keep != nil {
		fmt.Fprintf(c.std.Out, "; %s kept", program.Count(kept, "state", "states"))
	}
	fmt.Fprintf(c.std.Out, "; %s left out, %s lacking\n",
		program.Count(c.special, "special file", "special files"),
		program.Count(c.lacking, "file", "files"))
}
