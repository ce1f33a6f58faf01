package main

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// A writer does to a file, over and over, all that makes reading or mapping it unsafe for
// others.
type writer struct {
	path     string
	versions [2][]byte
	pause    time.Duration // after a step: time for readers to fall into the trap

	replaced, truncated, rewritten, overwritten atomic.Int64
}

// run works until the context ends, which is no error.
func (w *writer) run(ctx context.Context) error {
	for i := 0; ; i++ {
		now, next := w.versions[i%2], w.versions[(i+1)%2]
		// Overwriting comes last: whoever opened a file that is whole will see it change before
		// it is replaced, after which he would have it to himself.
		for _, step := range []struct {
			do    func() error
			count *atomic.Int64
		}{
			{func() error { return w.replace(now) }, &w.replaced},
			{func() error { return os.Truncate(w.path, int64(len(now)/3)) }, &w.truncated},
			{func() error { return os.WriteFile(w.path, next, 0o666) }, &w.rewritten},
			{func() error { return w.overwrite(now) }, &w.overwritten},
		} {
			if err := step.do(); err != nil {
				return err
			}
			step.count.Add(1)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(w.pause):
			}
		}
	}
}

// rounds returns how many times everything was done.
func (w *writer) rounds() int { return int(w.overwritten.Load()) }

// replace renames a new file over the old one: the only step that is fair to readers.
func (w *writer) replace(data []byte) error {
	temp := w.path + ".new"
	if err := os.WriteFile(temp, data, 0o666); err != nil {
		return err
	}
	return os.Rename(temp, w.path)
}

// overwrite stores other bytes into every fourth block of the file.
func (w *writer) overwrite(data []byte) error {
	f, err := os.OpenFile(w.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	block := min(64<<10, len(data)/16+1)
	for off := 0; off < len(data); off += 4 * block {
		if _, err := f.WriteAt(data[off:min(off+block, len(data))], int64(off)); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}
