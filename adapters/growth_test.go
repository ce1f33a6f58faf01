package adapters_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// appendRecords has writers append records at places of their own, all behind the end when they
// begin.
func appendRecords(t *testing.T, f *adapters.File, writers, each int, beside func(i int)) {
	var wg sync.WaitGroup
	for g := range writers {
		wg.Go(func() {
			p := make([]byte, record)
			for _, i := range rand.Perm(each) {
				k := i*writers + g
				fill(p, k)
				if n, err := f.WriteAt(p, int64(k)*record); n != record || err != nil {
					t.Errorf("WriteAt: %d, %v", n, err)
				}
				if beside != nil && g == 0 {
					beside(i)
				}
			}
		})
	}
	wg.Wait()
}

// TestParallelGrowth: no write is lost, whatever order they grow the file in, and a Sync has
// all of a write or nothing.
//
//promise:adapters.File.Write writes that grow the file in parallel lose no byte
func TestParallelGrowth(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		const writers = 4
		each := mounttest.Count(50, 200, 2000)
		name := put(t, dir, "f", nil)
		f := openFile(t, name)
		appendRecords(t, f, writers, each, func(i int) {
			if i%10 != 0 {
				return
			}
			if err := f.Sync(); err != nil {
				t.Error(err)
			}
			p, err := os.ReadFile(name)
			if err != nil || len(p)%record != 0 {
				t.Errorf("%d bytes after a Sync, %v", len(p), err)
				return
			}
			// The last record made the file this long, so it must be there.
			last := len(p)/record - 1
			if written, ok := whole(p[last*record:], last); !written || !ok {
				t.Errorf("a Sync took the size of a write and not its data")
			}
			for k := range last {
				if _, ok := whole(p[k*record:][:record], k); !ok {
					t.Errorf("record %d is torn", k)
				}
			}
		})
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || len(got) != writers*each*record {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		for k := range writers * each {
			if written, ok := whole(got[k*record:][:record], k); !written || !ok {
				t.Fatalf("record %d was lost", k)
			}
		}
		_ = f.Close()
	})
}

// TestGrowthIsOneStep: who follows the end of a growing file never reads the zeros of a write
// that is under way.
//
//promise:adapters.File.ReadAt beside growth ReadAt finds the old size, or the new one and its bytes
//promise:adapters.File.Size beside growth Size is the old size, or the new one with its bytes
func TestGrowthIsOneStep(t *testing.T) {
	f := openFile(t, put(t, t.TempDir(), "f", nil))
	done := make(chan struct{})
	defer func() { <-done }() // if the test fails
	go func() {
		defer close(done)
		p := bytes.Repeat([]byte{1}, record)
		for range mounttest.Count(2000, 10000, 100000) {
			if _, err := f.Write(p); err != nil {
				t.Error(err)
			}
		}
	}()
	p := make([]byte, record)
	for off := int64(0); ; {
		if size := f.Size(); size > 0 {
			n, err := f.ReadAt(p, size-record)
			if size%record != 0 || n != record || err != nil && !errors.Is(err, io.EOF) || bytes.IndexByte(p, 0) >= 0 {
				t.Fatalf("of %d bytes, the last are not there: %d, %v", size, n, err)
			}
		}
		n, err := f.ReadAt(p, off)
		off += int64(n)
		if bytes.IndexByte(p[:n], 0) >= 0 {
			t.Fatalf("zeros at the end, at %d", off)
		}
		if errors.Is(err, io.EOF) {
			select {
			case <-done:
				return
			default:
			}
		}
	}
}

// TestSyncHasWholeWrites syncs as fast as it can beside appends, and looks for the size of a
// write without its data.
//
//promise:adapters.File.Sync the file has all of a Write, WriteString or WriteAt or nothing of it
func TestSyncHasWholeWrites(t *testing.T) {
	name := put(t, mounttest.Dir(t, mounttest.Memory), "f", nil)
	f := openFile(t, name)
	p := bytes.Repeat([]byte{1}, record)
	meanwhile(t, func(i int) {
		if i%50 == 0 {
			if err := f.Truncate(0); err != nil {
				t.Error(err)
			}
		}
		if _, err := f.WriteAt(p, int64(i%50)*record); err != nil {
			t.Error(err)
		}
	})
	for range mounttest.Count(2000, 10000, 100000) {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		p, err := os.ReadFile(name)
		if err != nil || len(p)%record != 0 || bytes.IndexByte(p, 0) >= 0 {
			t.Fatalf("%d bytes, zeros from %d on, %v", len(p), bytes.IndexByte(p, 0), err)
		}
	}
}
