package peers

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

const (
	killSize  = 4 * mib
	replacing = "replacing"
)

// The program is killed while it replaces a file again and again, where it need not wait for a disk: else
// it would hardly ever be doing anything else.
var killScenario = scenario{"kill -9 in the middle", mounttest.Memory, withReplacers(replaceForever), "always whole, no stray names"}

// generation returns one of several contents, all of the same byte and of different lengths.
func generation(g int) []byte { return bytes.Repeat([]byte{byte(g)}, killSize+g*page) }

// whole reports whether data is a generation.
func whole(data []byte) bool {
	return len(data) > 0 && bytes.Count(data, data[:1]) == len(data) && len(data) == killSize+int(data[0])*page
}

func replaceForever(t *testing.T, dir string, replace replacer) string {
	var all [8][]byte
	for g := range all {
		all[g] = generation(g)
	}
	name := file(t, dir, "f", all[0])
	for g := 1; ; g++ {
		check(t, replace(name, all[g%len(all)]))
		if g == 1 {
			fmt.Println(replacing)
		}
	}
}

// killed kills a child at random and looks at what it leaves: at once, and for good.
func killed(t *testing.T, s scenario, peer string) string {
	mixed, stray, n := 0, 0, mounttest.Count(5, 10, 500)
	for range n {
		dir := s.dir(t)
		kill(t, job{s.name, peer, dir})
		data, err := os.ReadFile(filepath.Join(dir, "f"))
		check(t, err)
		if !whole(data) {
			mixed++
		}
		// What a change leaves for the next one to clear away does not stay.
		check(t, replacers[peer](filepath.Join(dir, "f"), generation(0)))
		entries, err := os.ReadDir(dir)
		check(t, err)
		if len(entries) > 1 {
			stray++
		}
		check(t, os.RemoveAll(dir))
	}
	switch {
	case mixed == 0 && stray == 0:
		return "always whole, no stray names"
	case mixed == 0:
		return fmt.Sprintf("always whole, a stray temporary file %d times of %d", stray, n)
	}
	return fmt.Sprintf("cut off or a mix %d times of %d", mixed, n)
}

func kill(t *testing.T, j job) {
	cmd := j.command(t)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	var seen []byte
	p := make([]byte, kib)
	for !bytes.Contains(seen, []byte(replacing)) {
		n, err := out.Read(p)
		seen = append(seen, p[:n]...)
		if err != nil {
			t.Fatalf("%v: %v\n%s", j, err, seen)
		}
	}
	time.Sleep(rand.N(100 * time.Millisecond))
	check(t, cmd.Process.Kill())
	rest, _ := io.ReadAll(out)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("%v: %v\n%s%s", j, err, seen, rest)
	}
}
