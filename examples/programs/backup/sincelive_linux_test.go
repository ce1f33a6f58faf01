package main

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/examples/internal/beside"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A file is edited during all copies but the last, which is then byte for byte the source: a range that
// any copy missed would be missing in it, too, unless it was edited again.
func TestSinceLive(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to string) {
		c := newChain(t, from, to)
		name := programtest.Put(t, c.source, "f", string(randomBytes(1, editedSize)))
		c.next(t, "; 1 state kept", "")
		r := rand.New(rand.NewPCG(9, 10))
		change := func(int) error { return edits[r.IntN(len(edits))].edit(name, r) }
		for range mounttest.Count(1, 3, 30) {
			beside.Do(t, 3, change, func(int) {
				programtest.Call(t, run, c.args()...).Want(t, 0, "; 1 by copy of the changes, ", "")
				c.verify(t, c.n)
				must(t, os.RemoveAll(c.copied(c.n-1)))
				c.n++
			})
			c.next(t, "; 1 by copy of the changes, ", "")
			must(t, os.RemoveAll(c.copied(c.n-2)))
		}
	})
}

// Whenever a backup is killed, its copy is complete or says that it is not; the previous copy stays as
// it is, and the next one is right.
func TestSinceKilled(t *testing.T) {
	exe := programtest.Build(t)
	c, name := newSmallChain(t)
	r := rand.New(rand.NewPCG(7, 8))
	took := time.Second // of a run that ends by itself, at most
	for range mounttest.Count(5, 40, 400) {
		must(t, edits[r.IntN(len(edits))].edit(name, r))
		began := time.Now()
		cmd := exec.CommandContext(t.Context(), exe, c.args()...)
		must(t, cmd.Start())
		killer := time.AfterFunc(time.Duration(r.Int64N(int64(took))), func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		if killer.Stop() {
			took = min(took, time.Since(began))
			must(t, err)
		}
		c.verify(t, c.n-1)
		manifest := filepath.Join(c.copied(c.n), manifestName)
		if _, err := os.Stat(manifest); errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Stat(c.copied(c.n)); err == nil {
				programtest.Call(t, run, "-verify", c.copied(c.n)).Want(t, 1, "", "not a complete copy")
			}
			must(t, os.RemoveAll(c.copied(c.n)))
		} else {
			c.verify(t, c.n)
			must(t, sameFiles(name, filepath.Join(c.copied(c.n), treeName, "f")))
			c.n++
		}
		if t.Failed() {
			return
		}
	}
	c.next(t, "; 1 by copy of the changes, ", "")
}
