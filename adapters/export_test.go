package adapters

import (
	"io/fs"
	"time"
)

// SetIdleTime changes how long unused snapshots are kept; before anybody uses f.
func (f *FS) SetIdleTime(d time.Duration) { f.shared.idleTime = d }

// Kept returns how many snapshots f has for those who open a file next, and how many of them
// nobody uses.
func (f *FS) Kept() (known, idle int) {
	f.shared.mu.Lock()
	defer f.shared.mu.Unlock()
	return len(f.shared.known), len(f.shared.idle)
}

// Waiting returns how many wait for snapshots that are being made.
func (f *FS) Waiting() (n int) {
	f.shared.mu.Lock()
	defer f.shared.mu.Unlock()
	for _, mk := range f.shared.making {
		n += mk.waiting - 1
	}
	return n
}

// Making returns how many snapshots are being made for callers that wait.
func (f *FS) Making() int {
	f.shared.mu.Lock()
	defer f.shared.mu.Unlock()
	return len(f.shared.making)
}

// HoldCursor is a method in the middle of using the cursor, until release. It is no method itself:
// TestZeroValue calls all of them.
func HoldCursor(f *File) (release func()) {
	f.cursor.Lock()
	return f.cursor.Unlock
}

const (
	IdleCount = idleCount
	IdleTime  = idleTime
)

var IsSettled = isSettled

// A Lent is the snapshot behind a file of an FS; it notes how it is read.
type Lent struct {
	*borrowed
	Views, Reads int
}

// Watch has what f reads from note how it is read.
func Watch(f fs.File) *Lent {
	file := f.(*snapshotFile)
	lent := &Lent{borrowed: &file.from}
	file.src = lent
	return lent
}

func (l *Lent) View(off, n int64, f func(p []byte) error) error {
	l.Views++
	return l.borrowed.View(off, n, f)
}

func (l *Lent) ReadAt(p []byte, off int64) (int, error) {
	l.Reads++
	return l.borrowed.ReadAt(p, off)
}

// Queued reports whether a caller waits at a limit.
func (f *FS) Queued() bool {
	f.shared.mu.Lock()
	defer f.shared.mu.Unlock()
	return f.shared.changed != nil
}
