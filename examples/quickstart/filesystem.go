package main

import (
	"fmt"
	"os"
	"strings"
)

// filesystem returns the name of the filesystem that dir lies on. The kernel numbers its
// mounts, and says for a descriptor which one it is on; that holds where names mislead, as
// below bind mounts, and needs no list of magic numbers.
func filesystem(dir string) string {
	const unknown = "unknown"
	f, err := os.Open(dir)
	if err != nil {
		return unknown
	}
	defer f.Close()
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", f.Fd()))
	if err != nil {
		return unknown
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return unknown
	}
	_, id, _ := strings.Cut(string(info), "mnt_id:")
	id, _, _ = strings.Cut(id, "\n")
	for line := range strings.Lines(string(mounts)) {
		if !strings.HasPrefix(line, strings.TrimSpace(id)+" ") {
			continue
		}
		// The number of fields before the dash varies (proc_pid_mountinfo(5)).
		if _, after, ok := strings.Cut(line, " - "); ok {
			name, _, _ := strings.Cut(after, " ")
			return name
		}
	}
	return unknown
}
