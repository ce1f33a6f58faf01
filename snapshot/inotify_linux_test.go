package snapshot_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// A process that watches a directory is told of the unnamed file that a snapshot makes there, by a
// name that begins with "#".
//
//promise:snapshot.Open inotify(7) reports the unnamed file as "#" and its inode number
func TestInotifyReportsUnnamedFile(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 200<<10))
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		must(t, err)
		defer func() { must(t, unix.Close(fd)) }()
		_, err = unix.InotifyAddWatch(fd, dir, unix.IN_OPEN|unix.IN_MODIFY|unix.IN_CLOSE_WRITE)
		must(t, err)
		m := open(t, name)
		var st unix.Stat_t
		must(t, m.Close())
		must(t, unix.Stat(name, &st))
		buf := make([]byte, 64<<10)
		n, err := unix.Read(fd, buf)
		must(t, err)
		events := string(buf[:n])
		if !strings.Contains(events, "#") || strings.Contains(events, fmt.Sprint("#", st.Ino)) {
			t.Errorf("%q", events)
		}
	})
}
