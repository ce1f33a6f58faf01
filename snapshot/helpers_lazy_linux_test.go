package snapshot_test

import (
	"context"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

const lazySize = 1 << 20

func openLazy(t testing.TB, c snapshot.Config, name string) *snapshot.Mmap {
	t.Helper()
	c.Lazy = true
	m, err := c.Open(context.Background(), name)
	must(t, err)
	closeLater(t, m)
	return m
}

// lazyFile makes a file of noise where Lazy does something.
func lazyFile(t testing.TB) (name string, data []byte) {
	t.Helper()
	name, data = join(mounttest.Dir(t, onDisk), "f"), noise(1, lazySize)
	write(t, name, data)
	return name, data
}

// overwriteLater opens a file for writing, which can wait, and writes over all of it.
func overwriteLater(name string, data []byte) (done chan error) {
	done = make(chan error, 1)
	go func() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.Write(data)
			_ = f.Close()
		}
		done <- err
	}()
	return done
}
