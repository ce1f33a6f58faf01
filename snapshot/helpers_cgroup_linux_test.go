package snapshot_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A memoryGroup is a control group in which processes have little memory, pages of files
// included.
type memoryGroup struct{ dir string }

const groupPrefix = "mmapsnapshot-test-"

// newMemoryGroup makes a group, and removes it when the test ends. The test is skipped, with the
// reason, where none can be made.
func newMemoryGroup(t *testing.T, limit int64) memoryGroup {
	t.Helper()
	candidates, file, err := memoryGroups()
	if err != nil {
		t.Skipf("no control group for memory: %v", err)
	}
	for _, parent := range candidates {
		leftovers, _ := filepath.Glob(filepath.Join(parent, groupPrefix+"*"))
		for _, old := range leftovers {
			pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(old), groupPrefix), "-")
			if _, err := os.Stat("/proc/" + pid); err != nil {
				_ = os.Remove(old) // of a test that was killed
			}
		}
		var dir string
		if dir, err = os.MkdirTemp(parent, fmt.Sprint(groupPrefix, os.Getpid(), "-")); err != nil {
			continue
		}
		if err = os.WriteFile(filepath.Join(dir, file), fmt.Append(nil, limit), 0); err != nil {
			err = errors.Join(err, os.Remove(dir)) // with version 2, above it memory may not be controlled
			continue
		}
		t.Cleanup(func() {
			err := os.Remove(dir)
			for try := 0; errors.Is(err, unix.EBUSY) && try < 3000; try++ { // the child is about to go
				time.Sleep(10 * time.Millisecond)
				err = os.Remove(dir)
			}
			if err != nil {
				t.Error(err)
			}
		})
		return memoryGroup{dir}
	}
	t.Skipf("no control group for memory can be made: %v", err)
	panic("unreachable")
}

// join moves this process into the group.
func (g memoryGroup) join() error {
	return os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), fmt.Append(nil, os.Getpid()), 0)
}

// memoryGroups returns the directories in which a group may be made, this process's own one
// first and then those above it, and the file that holds the limit.
func memoryGroups() (dirs []string, limit string, err error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, "", err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, "", err
	}
	for _, version := range []struct{ kind, option, controllers, limit string }{
		{"cgroup", "memory", "memory", "memory.limit_in_bytes"},
		{"cgroup2", "", "", "memory.max"},
	} {
		root, point, ok := groupMount(mounts, version.kind, version.option)
		if !ok {
			continue
		}
		for line := range strings.Lines(string(own)) { // number:controllers:path
			fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
			if len(fields) < 3 || fields[1] != version.controllers {
				continue
			}
			path, err := filepath.Rel(root, fields[2])
			if err != nil || strings.HasPrefix(path, "..") {
				path = "."
			}
			for ; path != "."; path = filepath.Dir(path) {
				dirs = append(dirs, filepath.Join(point, path))
			}
			return append(dirs, point), version.limit, nil
		}
	}
	return nil, "", errors.New("none is mounted")
}

// groupMount returns which group is mounted where, in the hierarchy of that kind.
func groupMount(mounts []byte, kind, option string) (root, point string, ok bool) {
	for line := range bytes.Lines(mounts) {
		// number parent device root point options … - kind source options
		left, right, _ := strings.Cut(string(line), " - ")
		fields, of := strings.Fields(left), strings.Fields(right)
		if len(of) < 3 || of[0] != kind || option != "" && !strings.Contains(","+of[2]+",", ","+option+",") {
			continue
		}
		return fields[3], fields[4], true
	}
	return "", "", false
}
