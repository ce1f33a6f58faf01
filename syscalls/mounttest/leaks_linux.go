package mounttest

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A holding is what this process has of one file.
type holding struct {
	amount int64    // descriptors, or bytes mapped
	lines  []string // what to tell of them
}

// holdings are by file: a rename changes the path, dup and reopening the number
// of the descriptor, and mprotect how many mappings there are. None of that leaks.
type holdings map[string]holding

func (h holdings) add(file string, amount int64, line string) {
	h[file] = holding{h[file].amount + amount, append(h[file].lines, line)}
}

func leaks(tb testing.TB) {
	tb.Helper()
	before, err := held()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		tb.Helper()
		var more []string
		for try := range 24 { // four seconds
			// A finalizer runs some time after the collection that found it, and closing may wait for a disk.
			runtime.GC()
			time.Sleep(time.Duration(try*try) * time.Millisecond)
			now, err := held()
			if err != nil {
				tb.Fatal(err)
			}
			more = now.over(before)
			if more == nil {
				return
			}
		}
		tb.Errorf("mounttest: leaked, or more of it than before the test:\n\t%s", strings.Join(more, "\n\t"))
	})
}

// over tells what h has more of than before.
func (h holdings) over(before holdings) []string {
	var more []string
	for file, holding := range h {
		if holding.amount > before[file].amount {
			more = append(more, holding.lines...)
		}
	}
	slices.Sort(more)
	return more
}

func held() (holdings, error) {
	h := holdings{}
	if err := h.addDescriptors(); err != nil {
		return nil, err
	}
	return h, h.addMappings()
}

func (h holdings) addDescriptors() error {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			return err
		}
		var st unix.Stat_t
		link, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil || unix.Fstat(fd, &st) != nil {
			continue // closed since: at least the one that listed them
		}
		// The runtime opens these when it first waits for a descriptor.
		if link == "anon_inode:[eventpoll]" || link == "anon_inode:[eventfd]" {
			continue
		}
		h.add(fmt.Sprintf("descriptor of %d:%d", st.Dev, st.Ino), 1, fmt.Sprintf("descriptor %d: %s", fd, link))
	}
	return nil
}

func (h holdings) addMappings() error {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// from-to permissions offset device inode path
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[4] == "0" {
			continue // memory of no file
		}
		var from, to uint64
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &from, &to); err != nil {
			return fmt.Errorf("%s: %q: %w", f.Name(), lines.Text(), err)
		}
		h.add("mapping of "+fields[3]+":"+fields[4], int64(to-from), "mapping "+lines.Text())
	}
	return lines.Err()
}
