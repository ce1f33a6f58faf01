package snapshot_test

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/mapped"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// stressSeed repeats a run, as far as what goroutines do follows from it; not how they take
// turns.
const stressSeed = "STRESS_SEED"

// Everything at once, for as long as one likes: goroutines open, read, write, view, store in
// Views, resize, prefetch, commit in every way, give up commits in the middle, and close, on
// several files and on snapshots shared between them; beside them the memory is evicted, the
// sets of pages are swept and garbage is collected. Every byte that anybody sees must be one
// that could be there, and in the end every byte is the one that was stored last.
//
//promise:snapshot snapshots of shared files stay right under all operations at once
func TestStress(t *testing.T) {
	seed := rand.Uint64()
	if s := os.Getenv(stressSeed); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		must(t, err)
	}
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		t.Logf("%s=%d", stressSeed, seed)
		stress(t, dir, seed)
	})
}

func stress(t *testing.T, dir string, seed uint64) {
	const files = 2
	w := &stressWork{t: t, seed: seed}
	var share share
	var all [files]*stressFile
	var names []string
	for i := range all {
		name := "f" + strconv.Itoa(i)
		f, err := newStressFile(join(dir, name), mix(seed, uint64(i)))
		must(t, err)
		all[i] = f
		names = append(names, name, name+"-to")
	}
	commits := mounttest.Count(8, 80, 200_000)
	for _, f := range all {
		for region := range regions {
			p := make([]byte, stressRegion)
			w.keep(func(*rand.Rand) error { return f.store(region, p) })
		}
		w.keep(func(*rand.Rand) error { return f.resize() })
		for range 2 {
			p := make([]byte, 3*stressBlock)
			w.keep(func(r *rand.Rand) error { return f.read(r, p) })
			w.keep(func(r *rand.Rand) error { return f.open(r, &share) })
		}
		p := make([]byte, 50_000)
		w.keep(func(r *rand.Rand) error {
			used, err := share.use(r, p)
			if used {
				f.did.shared.Add(1)
			}
			return err
		})
		w.keep(f.publish)
		w.times(commits, f.commit)
	}
	var evicted evictions
	w.keep(func(*rand.Rand) error {
		time.Sleep(3 * time.Millisecond) // it would be most of the work
		evicted.evict(dir)
		release := mapped.HoldSweeper()
		mapped.Sweep()
		release()
		runtime.GC()
		return nil
	})
	w.wait()
	share.close()
	for _, f := range all {
		f.end(t)
	}
	if t.Failed() {
		return
	}
	for _, name := range names { // CommitTo may not have had a turn
		if f, err := os.OpenFile(join(dir, name), os.O_CREATE, 0o600); err == nil {
			f.Close()
		}
	}
	wantNames(t, dir, names...)
	evicted.report(t, dir)
}

// end compares what the MmapMut holds, and what the file holds after a last commit, with what
// was stored.
func (f *stressFile) end(t *testing.T) {
	l := f.life.Load()
	if !t.Failed() {
		want := l.image()
		wantContents(t, l.m, want)
		must(t, l.m.Commit())
		wantFile(t, f.name, want)
		d := &f.did
		t.Logf("%d stores, %d reads, %d of them by View; %d opened, %d reads of shared ones; %d commits, %d cancelled, %d lives, %d elsewhere",
			d.stores.Load(), d.reads.Load(), d.views.Load(), d.opened.Load(), d.shared.Load(),
			d.commits.Load(), d.cancelled.Load(), d.closed.Load(), d.elsewhere.Load())
		for what, n := range map[string]int64{"stores": d.stores.Load(), "reads": d.reads.Load(), "snapshots": d.opened.Load(), "commits": d.commits.Load()} {
			if n == 0 {
				t.Errorf("no %s", what)
			}
		}
	}
	must(t, l.m.Close())
}

// A stressWork is the goroutines at work.
type stressWork struct {
	t       *testing.T
	seed    uint64
	workers uint64
	stop    atomic.Bool
	limited sync.WaitGroup // work a number of times
	others  sync.WaitGroup // work until these are done
}

// keep has f called until all that is limited is done, or something fails.
func (w *stressWork) keep(f func(r *rand.Rand) error) {
	w.do(&w.others, func(int) bool { return !w.stop.Load() }, f)
}

// times has f called n times.
func (w *stressWork) times(n int, f func(r *rand.Rand) error) {
	w.do(&w.limited, func(i int) bool { return i < n }, f)
}

func (w *stressWork) do(group *sync.WaitGroup, goOn func(i int) bool, f func(r *rand.Rand) error) {
	w.workers++
	r := rand.New(rand.NewPCG(w.seed, w.workers))
	group.Go(func() {
		for i := 0; goOn(i) && !w.t.Failed(); i++ {
			if err := f(r); err != nil {
				w.t.Errorf("%v", err)
				return
			}
			if i%4 == 3 {
				runtime.Gosched() // else each system call of another costs it 10 ms for each of these
			}
		}
	})
}

func (w *stressWork) wait() {
	w.limited.Wait()
	w.stop.Store(true)
	w.others.Wait()
}
