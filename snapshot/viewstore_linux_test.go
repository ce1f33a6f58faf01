package snapshot_test

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
)

// To learn why a store failed, View stores nothing: what another View has stored meanwhile stays.
//
//promise:snapshot.MmapMut.View a View that fails undoes no store of another View
func TestStoreSurvivesFailingView(t *testing.T) {
	onSmallDisks(t, func(t *testing.T, dir string) {
		name := join(dir, "f")
		const hole = 4 << 20 // and as much of data
		write(t, name, noise(1, hole))
		must(t, os.Truncate(name, 2*hole))
		m := openMut(t, name)
		fill(t, join(dir, "filler"))
		store := func(off int64, v byte) error {
			return m.View(off, 1, func(b []byte) error { b[0] = v; return nil })
		}
		off, called := int64(2*hole), false
		undo := systest.Intercept(t, func(call string) error {
			if call != "fallocate" || called {
				return nil
			}
			called = true
			done := make(chan error)
			go func() {
				if err := errors.Join(os.Remove(join(dir, "filler")), waitForRoom(join(dir, "room"))); err != nil {
					done <- err
					return
				}
				done <- store(off, 2)
			}()
			select {
			case err := <-done:
				must(t, err)
			case <-time.After(10 * time.Second):
				t.Error("no other View can store")
			}
			return nil
		})
		var err error
		for err == nil && off > 0 {
			off -= 4096
			err = store(off, 1)
		}
		undo()
		if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EFAULT) {
			t.Error(err)
		}
		if !called {
			t.Error("no reason was looked for")
		}
		p := make([]byte, 1)
		_, err = m.ReadAt(p, off)
		must(t, err)
		wantBytes(t, "the other store", p, []byte{2})
		must(t, m.Close())
	})
}

// waitForRoom waits until a file can be written, which is a while after space is freed.
func waitForRoom(name string) (err error) {
	for range 500 {
		err = os.WriteFile(name, noise(1, 1<<20), 0o600)
		if err == nil {
			err = syncFile(name)
		}
		_ = os.Remove(name)
		if err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}
