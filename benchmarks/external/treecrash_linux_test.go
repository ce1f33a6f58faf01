package external

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// commitEnv tells TestHelperCommits which file to commit again and again, and how.
const commitEnv = "EXTERNAL_COMMIT"

// generationOf returns which one a file holds in whole.
func generationOf(t *testing.T, name string) uint64 {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	if len(data) < 8 {
		t.Fatalf("%s: %d bytes", name, len(data))
	}
	g := binary.LittleEndian.Uint64(data)
	if !bytes.Equal(data, generation(g)) {
		t.Fatalf("%s: %d bytes that are no generation, perhaps %d", name, len(data), g)
	}
	return g
}

// TestHelperCommits commits one generation after the other, and says so on standard output.
func TestHelperCommits(t *testing.T) {
	way, name, ok := strings.Cut(os.Getenv(commitEnv), " ")
	if !ok {
		t.Skip("not a test: TestTreeKilled runs it in a process of its own")
	}
	m, err := snapshot.OpenMut(name)
	must(t, err)
	for g := uint64(1); ; g++ {
		must(t, m.Resize(int64(len(generation(g)))))
		_, err = m.WriteAt(generation(g), 0)
		must(t, err)
		must(t, commits[way](m))
		fmt.Println("committed", g)
		if way == "CommitAndClose" {
			m, err = snapshot.OpenMut(name)
			must(t, err)
		}
	}
}

// Whenever a process that commits to FUSE is killed, the file is one generation, whole, and not older than
// the last that was acknowledged; and what it left is removed by the next commit.
func TestTreeKilled(t *testing.T) {
	tree, back := newTree(t, bareTree)
	name, left := filepath.Join(tree.Dir(), "f"), 0
	for k := range mounttest.Count(4, 10, 1000) {
		must(t, os.WriteFile(filepath.Join(back, "f"), generation(0), 0o640))
		way := []string{"Commit", "CommitAndClose"}[k%2]
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestHelperCommits$")
		cmd.Env = append(os.Environ(), commitEnv+"="+way+" "+name)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		var said bytes.Buffer
		line := make([]byte, 100)
		n, err := out.Read(line) // the first is acknowledged
		must(t, err)
		said.Write(line[:n])
		time.Sleep(rand.N(30 * time.Millisecond))
		must(t, cmd.Process.Kill())
		_, err = said.ReadFrom(out)
		must(t, err)
		_ = cmd.Wait()
		acked := uint64(strings.Count(said.String(), "committed"))
		if strings.Contains(said.String(), "FAIL") || acked == 0 {
			t.Fatal(said.String())
		}
		if g := generationOf(t, filepath.Join(back, "f")); g < acked || g > acked+1 {
			t.Errorf("%s: generation %d, after %d was acknowledged", way, g, acked)
		}
		left += len(namesIn(t, back)) - 1
		m, err := snapshot.OpenMut(name)
		must(t, err)
		must(t, m.Commit())
		must(t, m.Close())
		wantNames(t, back, "f")
	}
	t.Log(left, "temporary names were left")
}

// A temporary name that nobody uses any more is removed by the next commit, whoever left it.
func TestTreeLeftover(t *testing.T) {
	eachTree(t, func(t *testing.T, tree *fusetest.Tree, back string) {
		name := filepath.Join(tree.Dir(), "f")
		must(t, os.WriteFile(name, []byte("old"), 0o644))
		m, err := snapshot.OpenMut(name)
		must(t, err)
		defer m.Close()
		tree.Fail(t, syscall.EIO, "RENAME", "UNLINK")
		wantIs(t, m.Commit(), syscall.EIO)
		if names := namesIn(t, back); len(names) != 2 {
			t.Fatal(names)
		}
		tree.Heal(t)
		must(t, m.Commit())
		wantNames(t, back, "f")
	})
}

// A server that dies in the middle of a commit ends it with an error, and it is done or not, as a whole.
// Snapshots that are open go on, as their copies lie elsewhere; nothing hangs; and what is left is removed
// by the next commit once the directory is served again.
func TestTreeDies(t *testing.T) {
	type death struct {
		request string // "" for the k-th, whatever it is
		when    string
	}
	deaths := []death{{"CREATE", fusetest.DieAfter}, {"WRITE", fusetest.DieBefore}, {"RENAME", fusetest.DieBefore}, {"RENAME", fusetest.DieAfter}}
	for range mounttest.Count(1, 2, 500) {
		deaths = append(deaths, death{"", fusetest.DieBefore}, death{"", fusetest.DieAfter})
	}
	for _, d := range deaths {
		t.Run(d.request+" "+d.when, func(t *testing.T) {
			t.Parallel()
			back := mounttest.Dir(t, mounttest.Memory)
			must(t, os.WriteFile(filepath.Join(back, "f"), generation(0), 0o640))
			tree := fusetest.NewTree(t, back, bareTree)
			name := filepath.Join(tree.Dir(), "f")
			r, err := snapshot.Open(name)
			must(t, err)
			defer r.Close()
			m, err := snapshot.OpenMut(name)
			must(t, err)
			defer m.Close()
			must(t, m.Resize(int64(len(generation(1)))))
			_, err = m.WriteAt(generation(1), 0)
			must(t, err)
			if d.request != "" {
				tree.DieAt(t, d.request, d.when)
			} else {
				tree.DieAtNth(t, 1+rand.Int64N(65), d.when)
			}
			err = m.Commit()
			died := err != nil
			if died && !errors.Is(err, syscall.ECONNABORTED) && !errors.Is(err, syscall.ENOTCONN) {
				t.Error(err)
			}
			done := generationOf(t, filepath.Join(back, "f")) == 1
			published := err == nil || errors.Is(err, snapshot.ErrNotDurable)
			if done != published && !(done && d.when == fusetest.DieAfter) { // nobody can know
				t.Errorf("done: %v; %v", done, err)
			}
			if died {
				wantContents(t, r, generation(0))
				wantContents(t, m, generation(1))
				_, err = m.WriteAt([]byte("goes on"), 0)
				must(t, err)
				for way, commit := range commits {
					if err := commit(m); !errors.Is(err, syscall.ENOTCONN) {
						t.Errorf("%s: %v", way, err)
					}
				}
				_, err = snapshot.Open(name)
				wantIs(t, err, syscall.ENOTCONN)
			}
			again := fusetest.NewTree(t, back, bareTree)
			m2, err := snapshot.OpenMut(filepath.Join(again.Dir(), "f"))
			must(t, err)
			must(t, m2.Commit())
			must(t, m2.Close())
			wantNames(t, back, "f")
		})
	}
}

// Where the copies lie on FUSE, too, what is not in memory cannot be read once the server has died; that is
// an error, and nothing crashes.
func TestTreeDiesWithCopies(t *testing.T) {
	tree, back := newTree(t, unnamedTree)
	mounttest.Leaks(t)
	data := noise(64 * page)
	must(t, os.WriteFile(filepath.Join(back, "f"), data, 0o640))
	name := filepath.Join(tree.Dir(), "f")
	r, err := snapshot.Open(name) // the server made the copy, and nobody has read it
	must(t, err)
	m, err := snapshot.OpenMut(name)
	must(t, err)
	defer m.Close()
	tree.Kill(t)
	for range 2 { // the kernel notices when the process is gone
		if n, err := r.ReadAt(make([]byte, page), 0); n != 0 || !errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, syscall.ECONNABORTED) {
			t.Errorf("ReadAt: %d, %v", n, err)
		}
		if got, n, err := byView(t, r); n != 0 || err == nil {
			t.Errorf("View: %d bytes, %v", len(got), err)
		}
	}
	_, _ = m.WriteAt(data, 0)
	for way, commit := range commits {
		if commit(m) == nil {
			t.Errorf("%s: no error", way)
		}
	}
	wantFile(t, filepath.Join(back, "f"), data)
	_ = r.Close() // which says so, too
}
