package retry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"
)

// The pauses between Attempts attempts double from a millisecond and add up to half a second.
func TestPauses(t *testing.T) {
	real := After
	defer func() { After = real }()
	var pauses []time.Duration
	After = func(d time.Duration) <-chan time.Time {
		pauses = append(pauses, d)
		return real(0)
	}
	total := time.Duration(0)
	for i := range Attempts - 1 {
		if err := Pause(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		if want := time.Millisecond << i; len(pauses) != i+1 || pauses[i] != want {
			t.Errorf("pauses %v, want %v as number %d", pauses, want, i)
		}
		total += pauses[i]
	}
	if total < 500*time.Millisecond || total > 600*time.Millisecond {
		t.Errorf("the pauses add up to %v", total)
	}
}

// A context that ends, or has ended, ends a pause with its error.
func TestPauseEndsWithContext(t *testing.T) {
	real := After
	defer func() { After = real }()
	ctx, cancel := context.WithCancel(t.Context())
	After = func(time.Duration) <-chan time.Time {
		cancel()
		return nil // the pause itself never ends
	}
	for range 2 {
		if err := Pause(ctx, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("Pause: %v", err)
		}
	}
}

// An error marked as transient keeps its text and its cause, and wrapping keeps the mark.
func TestTransient(t *testing.T) {
	plain := fmt.Errorf("stat: %w", fs.ErrNotExist)
	marked := Transient(plain)
	wrapped := fmt.Errorf("copy: %w", marked)
	if IsTransient(nil) || IsTransient(plain) || !IsTransient(marked) || !IsTransient(wrapped) {
		t.Error("IsTransient is true of an unmarked error, or false of a marked one")
	}
	if marked.Error() != plain.Error() || !errors.Is(wrapped, fs.ErrNotExist) {
		t.Errorf("marked, the error is %v", marked)
	}
}
