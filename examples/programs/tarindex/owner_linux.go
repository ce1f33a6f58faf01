package main

import (
	"io/fs"
	"syscall"
)

// owner returns to whom a file belongs.
func owner(fi fs.FileInfo) (uid int, ok bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}
