package program_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

// terminal returns the two ends of a terminal: what is written to the second can be read from
// the first.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	return master, slave
}

// work shows progress for a quarter of a second.
func work(std program.Std) {
	update, end := std.Progress("working")
	for i := range int64(26) {
		update(i<<20, 25<<20)
		time.Sleep(10 * time.Millisecond)
	}
	end()
	end()
	update(1, 0)
}

func TestProgressOnATerminal(t *testing.T) {
	master, slave := terminal(t)
	shown := make(chan string)
	go func() {
		all, _ := io.ReadAll(master) // EIO when the other end is closed
		shown <- string(all)
	}()
	work(program.Std{Err: slave})
	_ = slave.Close()
	s := <-shown
	if !strings.Contains(s, "working") || !strings.Contains(s, "/25 MiB") {
		t.Errorf("shown: %q", s)
	}
	if lines := strings.Split(s, "\r"); strings.TrimSpace(lines[len(lines)-1]) != "" {
		t.Errorf("left on the screen: %q", lines[len(lines)-1])
	}
}

// The first rate counts the time before the bar was first drawn: here at most 40 MiB/s, and without
// that time, hundreds of GiB/s.
func TestFirstRateOfProgress(t *testing.T) {
	master, slave := terminal(t)
	shown := make(chan string)
	go func() {
		all, _ := io.ReadAll(master)
		shown <- string(all)
	}()
	update, end := program.Std{Err: slave}.Progress("working")
	update(0, 100<<20)
	time.Sleep(100 * time.Millisecond)
	update(4<<20, 100<<20)
	end()
	_ = slave.Close()
	s := <-shown
	if !strings.Contains(s, "MiB/s") && !strings.Contains(s, "KiB/s") || strings.Contains(s, "GiB/s") || strings.Contains(s, "TiB/s") {
		t.Errorf("shown: %q", s)
	}
}

func TestNoProgressInAFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	work(program.Std{Err: f})
	if fi, err := f.Stat(); err != nil || fi.Size() > 0 {
		t.Errorf("%d bytes written, %v", fi.Size(), err)
	}
}
