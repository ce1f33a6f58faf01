package snapshot_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"sync/atomic"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// read reads some of the MmapMut, beside whoever stores into it.
func (f *stressFile) read(r *rand.Rand, p []byte) error {
	l := f.life.Load()
	region := r.IntN(regions)
	at := r.IntN(stressRegion)
	p = p[:1+r.IntN(min(stressRegion-at, len(p)))]
	off := region*stressRegion + at
	s := l.before()
	var err error
	switch r.IntN(8) {
	case 0:
		return f.unlessClosed(l, l.m.Prefetch(int64(off), int64(len(p))))
	case 1:
		return f.readTail(l, r, p)
	case 2, 3, 4:
		f.did.views.Add(1)
		err = l.m.View(int64(off), int64(len(p)), func(b []byte) error {
			copy(p, b)
			return nil
		})
	default:
		_, err = l.m.ReadAt(p, int64(off))
	}
	if err != nil {
		return f.unlessClosed(l, err)
	}
	f.did.reads.Add(1)
	return l.checkRange(p, off, l.after(s))
}

// readTail reads where the size changes.
func (f *stressFile) readTail(l *life, r *rand.Rand, p []byte) error {
	at := r.IntN(30_000)
	s := l.before()
	n, err := l.m.ReadAt(p, int64(stressFixed+at))
	if err != nil && err != io.EOF { //nolint:errorlint // io.EOF itself is promised
		return f.unlessClosed(l, err)
	}
	if n < len(p) && err == nil {
		return fmt.Errorf("%d of %d bytes, and no error", n, len(p))
	}
	s = l.after(s)
	f.did.reads.Add(1)
	return l.checkTail(p[:n], at, s[tail].lo, s[tail].hi)
}

// A share is where goroutines find snapshots that others opened and will close.
type share [4]atomic.Pointer[shared]

type shared struct {
	m      *snapshot.Mmap
	data   []byte // what it holds
	closed atomic.Bool
}

// open makes a snapshot of the file, which must be one of the generations that there were
// meanwhile, in every byte, and hands it over to others.
func (f *stressFile) open(r *rand.Rand, to *share) error {
	first := f.settled.Load()
	var m *snapshot.Mmap
	var err error
	if r.IntN(4) == 0 {
		var file *os.File
		if file, err = os.Open(f.name); err != nil {
			return err
		}
		m, err = snapshot.FromFile(file)
		file.Close()
	} else {
		m, err = snapshot.Open(f.name)
	}
	if err != nil {
		return err
	}
	data, err := whole(r, m)
	if err != nil {
		return errors.Join(err, m.Close())
	}
	f.did.opened.Add(1)
	newest := first // looked up now: what begins later cannot have been seen
	for g := first; g != nil; g = g.next.Load() {
		newest = g
	}
	for g := first; ; g = g.next.Load() {
		<-g.done
		if bytes.Equal(g.data, data) {
			break
		}
		if g == newest {
			return errors.Join(errors.New("a snapshot is of no generation"), m.Close())
		}
	}
	to.put(r, &shared{m: m, data: data})
	return nil
}

// whole reads all of a snapshot, in some way.
func whole(r *rand.Rand, m *snapshot.Mmap) ([]byte, error) {
	data := make([]byte, m.Size())
	switch r.IntN(3) {
	case 0:
		if err := m.Prefetch(0, -1); err != nil {
			return nil, err
		}
		_, err := m.ReadAt(data, 0)
		return data, err
	case 1:
		for off := 0; off < len(data); {
			n := min(1+r.IntN(40_000), len(data)-off)
			if _, err := m.ReadAt(data[off:off+n], int64(off)); err != nil {
				return nil, err
			}
			off += n
		}
		return data, nil
	}
	return data, m.View(0, -1, func(b []byte) error {
		copy(data, b)
		return nil
	})
}

// put shares a snapshot, and closes the one in its place, whoever uses it.
func (s *share) put(r *rand.Rand, next *shared) {
	if old := s[r.IntN(len(s))].Swap(next); old != nil {
		old.closed.Store(true)
		_ = old.m.Close()
	}
}

// close closes all.
func (s *share) close() {
	for i := range s {
		if old := s[i].Swap(nil); old != nil {
			_ = old.m.Close()
		}
	}
}

// use reads one of the shared snapshots.
func (s *share) use(r *rand.Rand, p []byte) (used bool, err error) {
	c := s[r.IntN(len(s))].Load()
	if c == nil {
		return false, nil
	}
	at := r.IntN(len(c.data))
	p = p[:1+r.IntN(min(len(p), len(c.data)-at))]
	switch r.IntN(5) {
	case 0:
		err = c.m.Prefetch(int64(at), int64(len(p)))
		copy(p, c.data[at:])
	case 1, 2:
		err = c.m.View(int64(at), int64(len(p)), func(b []byte) error {
			copy(p, b)
			return nil
		})
	default:
		_, err = c.m.ReadAt(p, int64(at))
	}
	switch {
	case errors.Is(err, fs.ErrClosed) && c.closed.Load():
		return true, nil
	case err != nil:
		return true, err
	case !bytes.Equal(p, c.data[at:at+len(p)]):
		return true, fmt.Errorf("a shared snapshot: wrong bytes from %d on", at)
	}
	return true, nil
}
