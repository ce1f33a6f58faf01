package lease

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The watcher is never the first thread of the process, which cannot end.
func TestWatcherThread(t *testing.T) {
	const watchers = 20
	threads := make(chan int, watchers)
	for range watchers {
		w := watcher{watched: map[*state]struct{}{}, newest: map[key]*state{}}
		go w.run(func(thread int, err error) {
			if err != nil {
				t.Error(err)
			}
			threads <- thread
		})
	}
	for range watchers {
		if await(t, threads) == os.Getpid() {
			t.Error("a watcher is the first thread")
		}
	}
}

// Programs that are started while the watcher runs have none of its signals blocked.
func TestChildSignals(t *testing.T) {
	openLeased(t, newFile(t))
	for range 20 {
		status, err := exec.Command("cat", "/proc/self/status").Output()
		must(t, err)
		_, mask, _ := strings.Cut(string(status), "SigBlk:")
		blocked, err := strconv.ParseUint(strings.Fields(mask)[0], 16, 64)
		must(t, err)
		if blocked&(1<<(signal-1)|1<<(syscall.SIGIO-1)) != 0 {
			t.Fatalf("blocked: %x", blocked)
		}
	}
}
