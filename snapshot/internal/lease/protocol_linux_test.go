package lease

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A process that opens the file for writing waits for the copy, and then no longer; the snapshot
// stays what it was.
func TestWriterWaitsForCopy(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)
	s := openLeased(t, name)
	warm(t, s)
	var copied atomic.Bool
	systest.Intercept(t, func(call string) error {
		if call == "setlease" && !copied.Swap(true) {
			if b, err := os.ReadFile(name); err != nil || !bytes.Equal(b, filled('A')) {
				t.Error("the writer did not wait")
			}
		}
		return nil
	})
	must(t, await(t, overwrite(name, 'B')))
	wantAll(t, s, 'A')
	if !copied.Load() || s.IsOriginal() {
		t.Error("there is no copy")
	}
	other := openLeased(t, name) // of the new contents: it does not share the old
	wantAll(t, other, 'B')
	must(t, other.Close())
	wantAll(t, s, 'A')
	must(t, s.Close())
}

// A process is stopped in the middle of a read for longer than the kernel keeps a writer waiting.
// Before the check the clock and the kernel tell, also if the writer hides what it did. The control
// is a clock that says that no time has passed: then the bytes are the writer's.
func TestStoppedBeforeCheck(t *testing.T) {
	for what, hide := range map[string]bool{"times changed": false, "times set back": true} {
		t.Run(what, func(t *testing.T) {
			mounttest.Leaks(t)
			name := newFile(t)
			s := openLeased(t, name)
			warm(t, s)
			dropSignals(t, s)
			expire(t, s)
			must(t, await(t, overwrite(name, 'B')))
			if hide {
				must(t, os.Chtimes(name, time.Time{}, s.Stat().Mtime))
			}
			p := make([]byte, 8)
			seemWhole(t, s)
			// The watcher may have noticed by now, once a second.
			if torn := s.TryRead(p, 0) && p[0] == 'B'; !torn && !s.st.left.Load() {
				t.Error("the control is not torn: the test tests nothing")
			}
			now := time.Duration(s.st.wholeAt.Load()) + maxAge
			setClock(t, func() time.Duration { return now })
			if s.TryRead(p, 0) {
				t.Errorf("%q, half a second after the last look", p)
			}
			if b, err := read(s); !errors.Is(err, privatefile.ErrUnstable) {
				t.Errorf("%q, %v", b[:8], err)
			}
			if _, err := s.Private(); !errors.Is(err, privatefile.ErrUnstable) {
				t.Error(err)
			}
		})
	}
}

// Between the release of the lease and the moment in which the kernel has answered, no read is
// taken for good. The control stores left after the release.
func TestReadsBesideRelease(t *testing.T) {
	for what, late := range map[string]bool{"as it is": false, "control": true} {
		t.Run(what, func(t *testing.T) {
			mounttest.Leaks(t)
			name := newFile(t)
			s := openLeased(t, name)
			warm(t, s)
			seemWhole(t, s)
			writer := make(chan error)
			var released atomic.Bool
			systest.Intercept(t, func(call string) error {
				if call != "setlease" || released.Swap(true) {
					return nil
				}
				if !s.st.left.Load() {
					t.Error("left is not stored before the release")
				}
				s.st.left.Store(!late)
				expire(t, s)
				must(t, <-writer)
				p := make([]byte, 8)
				if proven := s.TryRead(p, 0); proven != late || late && p[0] != 'B' {
					t.Errorf("read %q, proven: %t", p, proven)
				}
				s.st.left.Store(true)
				return nil
			})
			done := overwrite(name, 'B')
			go func() { writer <- await(t, done) }()
			// This goroutine reads meanwhile. In the control it, too, may get the writer's bytes.
			b, err := read(s)
			if !late && !errors.Is(err, privatefile.ErrUnstable) && !bytes.Equal(b, filled('A')) {
				t.Errorf("%q, %v", b[:8], err)
			}
			waitUntil(t, "the lease is lost", func() bool {
				_, err := s.Private()
				return errors.Is(err, privatefile.ErrUnstable)
			})
		})
	}
}

// A process that does not wait gets EAGAIN, and has the copy made: a later attempt succeeds.
func TestNonblock(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)
	s := openLeased(t, name)
	for range 2 {
		if canWrite(t, name) {
			t.Error("there was no lease")
		}
		waitUntil(t, "the file can be opened", func() bool { return canWrite(t, name) })
		wantAll(t, s, 'A')
		must(t, s.Close())
		s = openLeased(t, name)
	}
}

// Without the signal the writer waits for up to a second more, and nothing is wrong.
func TestSignalLost(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)
	s := openLeased(t, name)
	dropSignals(t, s)
	must(t, await(t, overwrite(name, 'B')))
	wantAll(t, s, 'A')
}

// A read that comes before the watcher has noticed the writer makes the copy itself.
func TestReaderMakesCopy(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)
	s := openLeased(t, name)
	warm(t, s)
	dropSignals(t, s)
	done := overwrite(name, 'B')
	waitUntil(t, "the writer waits", func() bool { return !s.st.look() })
	setClock(t, func() time.Duration { return clock() + maxAge })
	wantAll(t, s, 'A')
	if s.IsOriginal() {
		t.Error("no copy was made")
	}
	must(t, await(t, done))
	wantAll(t, s, 'A')
}

// Truncation by open(2) with O_TRUNC and without permission to write does not wait for the lease.
// Nothing but an error is read.
func TestTruncatedByReader(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)
	s := openLeased(t, name)
	warm(t, s)
	f, err := os.OpenFile(name, os.O_RDONLY|os.O_TRUNC, 0)
	must(t, err)
	must(t, f.Close())
	if b, err := read(s); !errors.Is(err, privatefile.ErrUnstable) {
		t.Errorf("%q, %v", b[:8], err)
	}
}

// A file that changes in spite of the lease while it is copied is compared again after the copy.
func TestChangesDuringCopy(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)
	s := openLeased(t, name)
	systest.Intercept(t, func(call string) error {
		if call == "copy_file_range" {
			must(t, os.Chtimes(name, time.Time{}, time.Unix(1, 0)))
		}
		return nil
	})
	if _, err := s.Private(); !errors.Is(err, privatefile.ErrUnstable) {
		t.Error(err)
	}
	if !canWrite(t, name) {
		t.Error("the lease was not given up")
	}
}

// If the owner changes, the lease is worth less, and a copy is made.
func TestOwnerChanges(t *testing.T) {
	mounttest.Need(t, "CAP_CHOWN")
	mounttest.Leaks(t)
	name := newFile(t)
	s := openLeased(t, name)
	must(t, os.Chown(name, 65534, 65534))
	waitUntil(t, "there is a copy", func() bool { return !s.IsOriginal() })
	wantAll(t, s, 'A')
}

// With NoCopy, a writer ends the snapshot; a caller that wants a copy does not.
func TestNoCopy(t *testing.T) {
	mounttest.Leaks(t)
	name := newFile(t)
	s, err := tryOpen(context.Background(), t, name, privatefile.Options{NoCopy: true, InMemory: true})
	must(t, err)
	defer s.Close()
	if _, err := s.Private(); !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, privatefile.ErrUnstable) {
		t.Error(err)
	}
	wantAll(t, s, 'A')
	must(t, await(t, overwrite(name, 'B')))
	if b, err := read(s); !errors.Is(err, privatefile.ErrUnstable) {
		t.Errorf("%q, %v", b[:8], err)
	}
}
