package snapshot_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Link of a snapshot under a lease has the contents as they were, also if a process waits to write,
// and makes the one private copy that all snapshots of the file share.
func TestLazyLink(t *testing.T) {
	mounttest.Leaks(t)
	name, data := lazyFile(t)
	m, other := openLazy(t, snapshot.Config{}, name), openLazy(t, snapshot.Config{}, name)
	copying, proceed := make(chan bool), make(chan bool)
	copies := 0
	undo := systest.Intercept(t, func(call string) error {
		if call == "tmpfile excl" {
			if copies++; copies == 1 {
				close(copying)
				<-proceed
			}
		}
		return nil
	})
	linked := make(chan error, 1)
	go func() { linked <- m.Link(name + ".linked") }()
	select {
	case <-copying:
	case err := <-linked:
		t.Fatalf("Link made no private copy: %v", err)
	}
	done := overwriteLater(name, noise(2, lazySize))
	close(proceed)
	must(t, <-linked)
	must(t, <-done)
	must(t, other.Link(name+".other"))
	undo()
	if copies != 1 {
		t.Errorf("%d private copies", copies)
	}
	for _, linked := range []string{name + ".linked", name + ".other"} {
		got, err := os.ReadFile(linked)
		must(t, err)
		wantBytes(t, linked, got, data)
	}
	wantContents(t, m, data)
	wantContents(t, other, data)
}

// String says whether there is a private copy.
func TestLazyString(t *testing.T) {
	mounttest.Leaks(t)
	name, data := lazyFile(t)
	m := openLazy(t, snapshot.Config{}, name)
	want := fmt.Sprintf("%q: %d bytes, lease ", name, lazySize)
	if got := m.String(); got != want+"on the file itself" {
		t.Error(got)
	}
	must(t, <-overwriteLater(name, []byte("x")))
	wantContents(t, m, data) // it waits: the lease is given up a moment before the copy is used
	if got := m.String(); got != want+"that ended, with a private copy" {
		t.Error(got)
	}
	must(t, m.Close())
	if got := m.String(); got != want+"that ended, with a private copy, closed" {
		t.Error(got)
	}
}

// Changed compares snapshots under a lease by what they read, with and without private copies.
func TestLazyChanged(t *testing.T) {
	mounttest.Leaks(t)
	name, _ := lazyFile(t)
	old := openLazy(t, snapshot.Config{}, name)
	changed := func(m, old *snapshot.Mmap) (ranges []snapshot.Range) {
		for r, err := range m.Changed(context.Background(), old) {
			must(t, err)
			ranges = append(ranges, r)
		}
		return ranges
	}
	if got := changed(openLazy(t, snapshot.Config{}, name), old); got != nil {
		t.Error(got)
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	must(t, err)
	for _, at := range []int64{5000, 500_000, lazySize} {
		_, err = f.WriteAt([]byte("other bytes"), at)
		must(t, err)
	}
	must(t, f.Close())
	m := openLazy(t, snapshot.Config{}, name)
	want := []snapshot.Range{{Off: 4096, Len: 4096}, {Off: 499_712, Len: 4096}, {Off: lazySize, Len: 11}}
	if got := changed(m, old); !slices.Equal(got, want) {
		t.Error(got)
	}
	_ = m.Bytes() // it has a private copy by now
	if got := changed(m, old); !slices.Equal(got, want) {
		t.Error(got)
	}
	if got := changed(old, m); !slices.Equal(got, want) {
		t.Error(got)
	}
}
