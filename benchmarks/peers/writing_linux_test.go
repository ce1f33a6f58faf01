package peers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/KarpelesLab/reflink"
	"github.com/edsrzf/mmap-go"
	"github.com/google/renameio/v2"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"github.com/natefinch/atomic"
)

// A replacer makes data the contents of a file that is there.
type replacer func(name string, data []byte) error

var replacers = map[string]replacer{
	"os.WriteFile":     func(name string, data []byte) error { return os.WriteFile(name, data, 0o600) },
	"mmap-go":          replaceMapped,
	"renameio":         func(name string, data []byte) error { return renameio.WriteFile(name, data, 0o600) },
	"natefinch/atomic": func(name string, data []byte) error { return atomic.WriteFile(name, bytes.NewReader(data)) },
	ours:               replaceSnapshot,
}

func replaceMapped(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(int64(len(data))); err != nil {
		return err
	}
	m, err := mmap.Map(f, mmap.RDWR, 0)
	if err != nil {
		return err
	}
	copy(m, data)
	return errors.Join(m.Flush(), m.Unmap())
}

func replaceSnapshot(name string, data []byte) error {
	m, err := snapshot.OpenMut(name)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.Resize(int64(len(data))); err != nil {
		return err
	}
	if _, err := m.WriteAt(data, 0); err != nil {
		return err
	}
	return m.CommitAndClose()
}

func withReplacers(f func(t *testing.T, dir string, replace replacer) string) map[string]func(*testing.T, string) string {
	m := map[string]func(*testing.T, string) string{}
	for name, replace := range replacers {
		m[name] = func(t *testing.T, dir string) string { return f(t, dir, replace) }
	}
	return m
}

// The new contents are larger than the filesystem.
var fullScenario = scenario{"full disk while storing", mounttest.Disk | mounttest.NoReflinks, withReplacers(fillDisk), "no space left on device, the old contents"}

func fillDisk(t *testing.T, dir string, replace replacer) string {
	old := random(mib)
	name := file(t, dir, "f", old)
	err := replace(name, random(64*mib))
	saw := "no error"
	if errors.Is(err, syscall.ENOSPC) || err != nil && strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		saw = syscall.ENOSPC.Error()
	} else if err != nil {
		saw = err.Error()
	}
	now, err := os.ReadFile(name)
	check(t, err)
	if bytes.Equal(now, old) {
		return saw + ", the old contents"
	}
	return fmt.Sprintf("%s, the old contents are lost (%d bytes of new ones)", saw, len(now))
}

// A file of 3 GiB, with data at its end, on a filesystem without reflinks.
var copyScenario = scenario{"copy of 3 GiB", mounttest.Disk | mounttest.NoReflinks, map[string]func(*testing.T, string) string{
	"reflink": func(t *testing.T, dir string) string { return copyLarge(t, dir, reflink.Auto) },
	ours: func(t *testing.T, dir string) string {
		return copyLarge(t, dir, func(src, dst string) error {
			m, err := snapshot.OpenMut(src)
			if err != nil {
				return err
			}
			defer m.Close()
			return m.Link(dst)
		})
	},
}, "all of it"}

func copyLarge(t *testing.T, dir string, copyFile func(src, dst string) error) string {
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	const size = int64(3 << 30)
	end := random(mib)
	f, err := os.Create(src)
	check(t, err)
	defer f.Close()
	_, err = f.WriteAt(end, size-mib)
	check(t, err)
	if err := copyFile(src, dst); err != nil {
		return err.Error()
	}
	copied, err := os.Open(dst)
	check(t, err)
	defer copied.Close()
	fi, err := copied.Stat()
	check(t, err)
	if fi.Size() != size {
		return fmt.Sprintf("%d of %d bytes, no error", fi.Size(), size)
	}
	got := make([]byte, mib)
	_, err = copied.ReadAt(got, size-mib)
	check(t, err)
	if !bytes.Equal(got, end) {
		return "other contents, no error"
	}
	return "all of it"
}

// What a file has besides its contents.
var keepScenario = scenario{"replace keeps mode, owner, xattr", mounttest.Reflinks, withReplacers(replaceKept), "all kept"}

func replaceKept(t *testing.T, dir string, replace replacer) string {
	name := file(t, dir, "f", random(page))
	check(t, os.Chmod(name, 0o640))
	check(t, os.Chown(name, 1234, 5678))
	f, err := os.Open(name)
	check(t, err)
	check(t, syscalls.Fsetxattr(int(f.Fd()), "user.a", []byte("b")))
	check(t, f.Close())
	if err := replace(name, random(2*page)); err != nil {
		return err.Error()
	}
	f, err = os.Open(name)
	check(t, err)
	defer f.Close()
	st, err := syscalls.Fstat(int(f.Fd()))
	check(t, err)
	var lost []string
	if st.Perm != 0o640 {
		lost = append(lost, "mode")
	}
	if st.UID != 1234 || st.GID != 5678 {
		lost = append(lost, "owner")
	}
	if names, err := syscalls.Flistxattr(int(f.Fd())); err != nil || !slices.Contains(names, "user.a") {
		lost = append(lost, "xattr")
	}
	if lost == nil {
		return "all kept"
	}
	return "lost: " + strings.Join(lost, ", ")
}
