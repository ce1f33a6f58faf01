package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// A stressFile is a file that is committed again and again, and what it may hold.
type stressFile struct {
	name    string
	seed    uint64
	life    atomic.Pointer[life]
	settled atomic.Pointer[generation] // the newest of which the contents are known
	lives   uint64
	did     struct{ stores, reads, views, opened, shared, commits, cancelled, closed, elsewhere atomic.Int64 }
}

// A generation is what one commit made of the file. It is there before the commit begins, so
// that who opens the file meanwhile knows that it may be what he sees.
type generation struct {
	data []byte        // once done is closed
	done chan struct{} // closed when data is known
	next atomic.Pointer[generation]
}

// newStressFile makes the file and opens it.
func newStressFile(name string, seed uint64) (*stressFile, error) {
	f := &stressFile{name: name, seed: seed}
	first := &generation{data: make([]byte, stressFixed+1000), done: make(chan struct{})}
	noiseOf(first.data, seed)
	close(first.done)
	f.settled.Store(first)
	if err := os.WriteFile(name, first.data, 0o640); err != nil {
		return nil, err
	}
	return f, f.begin()
}

// begin opens the file to be changed.
func (f *stressFile) begin() error {
	m, err := snapshot.OpenMut(f.name)
	if err != nil {
		return err
	}
	f.lives++
	l := &life{m: m, key: mix(f.seed, f.lives), base: f.settled.Load().data}
	f.life.Store(l)
	if m.Size() != int64(len(l.base)) {
		return fmt.Errorf("opened %d bytes, the last commit has %d", m.Size(), len(l.base))
	}
	return nil
}

// commit commits in one of the ways, or gives up what was stored, and checks what the file holds
// afterwards. Only one goroutine of a file does so.
func (f *stressFile) commit(r *rand.Rand) error {
	l := f.life.Load()
	last := f.settled.Load()
	g := &generation{data: last.data, done: make(chan struct{})}
	last.next.Store(g)
	defer func() {
		close(g.done)
		f.settled.Store(g)
	}()
	s := l.before()
	var err error
	ends, published := false, true
	switch k := r.IntN(20); {
	case k < 10:
		err = l.m.Commit()
	case k < 15:
		err = l.m.CommitContext(&countdown{Context: context.Background(), left: r.IntN(4)})
		if errors.Is(err, context.Canceled) {
			published, err = false, nil
			f.did.cancelled.Add(1)
		}
	case k < 18:
		err, ends = l.m.CommitAndClose(), true
	default:
		err, ends, published = l.m.Close(), true, false
	}
	if err != nil {
		return err
	}
	s = l.after(s)
	data, err := os.ReadFile(f.name)
	if err != nil {
		return err
	}
	if published {
		f.did.commits.Add(1)
		if err := l.checkCommit(data, s); err != nil {
			return fmt.Errorf("committed: %w", err)
		}
	} else if !bytes.Equal(data, last.data) {
		return errors.New("nothing was committed, and the file has changed")
	}
	g.data = data
	if !ends {
		return nil
	}
	f.did.closed.Add(1)
	if err := l.m.Close(); !errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("closed twice: %w", err)
	}
	f.settled.Store(g) // for begin; who waits for done, waits a little longer
	return f.begin()
}

// A countdown is a context that ends when it was looked at a number of times.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// publish commits to another name, or links, and checks what is there.
func (f *stressFile) publish(r *rand.Rand) error {
	l := f.life.Load()
	s := l.before()
	var err error
	name := f.name + "-to"
	if r.IntN(2) == 0 {
		name = f.name + "-link"
		defer os.Remove(name)
		err = l.m.Link(name)
	} else {
		err = l.m.CommitTo(name)
	}
	if err != nil {
		return f.unlessClosed(l, err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	f.did.elsewhere.Add(1)
	if err := l.checkCommit(data, l.after(s)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// unlessClosed returns an error, but fs.ErrClosed only if there was no reason for it: then it
// waits for the next life.
func (f *stressFile) unlessClosed(l *life, err error) error {
	if !errors.Is(err, fs.ErrClosed) {
		return err
	}
	for try := 0; f.life.Load() == l; try++ {
		if try == 60_000 {
			return fmt.Errorf("not closed: %w", err)
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// store performs the next operation of a region.
func (f *stressFile) store(region int, p []byte) error {
	l := f.life.Load()
	part := &l.parts[region]
	op := part.finished.Load() + 1
	first, n := l.blocks(region, op)
	p = p[:n*stressBlock]
	for i := range n {
		l.fill(p[i*stressBlock:][:stressBlock], region, first+i, op)
	}
	off := int64(region*stressRegion + first*stressBlock)
	part.started.Store(op)
	var err error
	if byView(region) {
		err = l.m.View(off, int64(len(p)), func(b []byte) error {
			copy(b, p)
			return nil
		})
	} else {
		_, err = l.m.WriteAt(p, off)
	}
	if err != nil {
		return f.unlessClosed(l, err)
	}
	part.finished.Store(op)
	f.did.stores.Add(1)
	return nil
}

// resize performs the next operation of the tail.
func (f *stressFile) resize() error {
	l := f.life.Load()
	part := &l.parts[tail]
	op := part.finished.Load() + 1
	part.started.Store(op)
	var err error
	switch op % 3 {
	case 1:
		if err = l.m.Resize(stressFixed); errors.Is(err, syscall.EBUSY) {
			return nil // a View runs: the operation is tried again
		}
	case 2:
		if n := l.tailSize(op); op%2 == 0 {
			err = l.m.Resize(stressFixed + int64(n))
		} else {
			_, err = l.m.WriteGrow(make([]byte, n), stressFixed)
		}
	case 0:
		at, n := l.tailWrite(op)
		_, err = l.m.WriteAt(l.tailOf(op)[at:at+n], int64(stressFixed+at))
	}
	if err != nil {
		return f.unlessClosed(l, err)
	}
	part.finished.Store(op)
	f.did.stores.Add(1)
	return nil
}
