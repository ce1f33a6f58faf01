package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// sparse makes a file of that size with data at some offsets.
func sparse(t *testing.T, name string, size int64, data map[int64]string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for off, s := range data {
		if _, err := f.WriteAt([]byte(s), off); err != nil {
			t.Fatal(err)
		}
	}
}

// A counter counts what is read of a snapshot.
type counter struct {
	*snapshot.MmapMut
	read int64
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.MmapMut.ReadAt(p, off)
	c.read += int64(n)
	return n, err
}

// Of 10 GiB with 8 KiB of data, some MiB are read, all places are found, and the holes stay.
func TestHoles(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		const size, middle = int64(10 << 30), int64(5<<30 + 4096*3 - 3) // across the end of a block
		name := filepath.Join(dir, "f")
		data := map[int64]string{0: "needle", middle: "needle", size - 6: "needle"}
		sparse(t, name, size, data)
		m, err := snapshot.OpenMut(name)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		src := &counter{MmapMut: m}
		e := edit{find: []byte("needle"), replace: []byte("needle"), shown: io.Discard}
		res, err := e.findAll(t.Context(), src, size, nil)
		if err != nil || res.count != len(data) {
			t.Errorf("%+v, %v", res, err)
		}
		if src.read > 16<<20 {
			t.Errorf("%d bytes were read", src.read)
		}
		programtest.Call(t, run, "-n", "-find", "needle", "-replace", "pin", name).Want(t, 0,
			fmt.Sprintf("in 3 places, %d bytes to be written of 10240.0 MiB, holes of 10240.0 MiB among them\n", size-9), "")
		programtest.Call(t, run, "-find", "needle", "-replace", "n**dle", name).Want(t, 0, "3 places, 18 bytes written of 10240.0 MiB; ", "")
		fi, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := fi.Sys().(*syscall.Stat_t).Blocks * 512; fi.Size() != size || got > 1<<20 {
			t.Errorf("%d bytes that take %d", fi.Size(), got)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for off := range data {
			b := make([]byte, 6)
			if _, err := f.ReadAt(b, off); err != nil || string(b) != "n**dle" {
				t.Errorf("at %d: %q, %v", off, b, err)
			}
		}
	})
}

// In a file with holes, the same is found as in one without: patterns that begin or end with zeros
// of a hole, or have nothing else, included.
func TestLikeReplaceAllWithHoles(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		defer func(old int) { chunk = old }(chunk)
		name := filepath.Join(dir, "f")
		r := rand.New(rand.NewPCG(3, 4))
		word := func(n int) string {
			b := make([]byte, n)
			for i := range b {
				b[i] = "\x00a"[r.IntN(2)]
			}
			return string(b)
		}
		for range mounttest.Count(60, 300, 20000) {
			const block = 4096
			size := int64(1 + r.IntN(12*block))
			data, content := map[int64]string{}, make([]byte, size)
			for range r.IntN(4) { // data at both sides of the boundary between two blocks
				off := max(0, int64(r.IntN(13)*block-r.IntN(3)))
				s := word(r.IntN(16))
				if off+int64(len(s)) <= size {
					copy(content[off:], s)
					data[off] = string(content[off : off+int64(len(s))])
				}
			}
			sparse(t, name, size, data)
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			chunk = 1 + r.IntN(2*block)
			find := word(1 + r.IntN(4))
			e := edit{find: []byte(find), replace: []byte(strings.Repeat("X", r.IntN(6))), shown: io.Discard}
			m, err := snapshot.OpenMut(name)
			if err != nil {
				t.Fatal(err)
			}
			res, err := e.replaceAll(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			got, want := make([]byte, m.Size()), bytes.ReplaceAll(b, e.find, e.replace)
			_, err = m.ReadAt(got, 0)
			if err != nil && err != io.EOF || res.count != bytes.Count(b, e.find) || !bytes.Equal(got, want) {
				t.Fatalf("chunk %d, %q for %q in %q of %d bytes: %d times, %v", chunk, e.replace, e.find, fmt.Sprint(data), size, res.count, err)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// No name forges a message.
func TestHostileName(t *testing.T) {
	dir := t.TempDir()
	name := programtest.Put(t, dir, "x\nprog: \x1b[2Jchanged", "content")
	for _, args := range [][]string{{"-find", "x", "-replace", "y", name}, {"-find", "c", "-replace", "d", name},
		{"-n", "-find", "d", "-replace", "c", name}, {"-at", "0", "-write", "x", name + "?"}} {
		r := programtest.Call(t, run, args...)
		if all := r.Out + r.Err; strings.Contains(all, "\x1b") || strings.Contains(all, "\nprog: ") || !strings.Contains(all, `x\nprog: `) {
			t.Errorf("%q: %q", args, all)
		}
	}
}
