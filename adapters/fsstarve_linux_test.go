package adapters_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A file that changes all the time, as a log, is opened: its copy is put off by 100 ms at most, not for
// as long as it changes.
//
//promise:adapters.FS a copy of more than 1 MiB is put off by up to 100 ms
func TestFSOpensFileThatChangesAllTheTime(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Dir(t, mounttest.Memory)
	put(t, dir, "log", random(2*mib))
	name := filepath.Join(dir, "log")
	fsys := newFS(t, dir, snapshot.Config{})
	stop, opened := make(chan struct{}), make(chan error)
	go func() {
		f, err := fsys.Open("log")
		if err == nil {
			err = f.Close()
		}
		opened <- err
	}()
	writer := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				writer <- nil
				return
			default:
			}
			// Another time, which shows no other contents.
			if err := os.Chmod(name, 0o644); err != nil {
				writer <- err
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	select {
	case err := <-opened:
		if err != nil {
			t.Error(err)
		}
		close(stop)
	case <-time.After(20 * time.Second):
		t.Error("it is not opened while it changes")
		close(stop)
		<-opened
	}
	if err := <-writer; err != nil {
		t.Error(err)
	}
}
