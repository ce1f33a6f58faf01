package main

import (
	"math"
	"syscall"
)

// freeBytes returns how many bytes this process can write where dir lies.
func freeBytes(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	size := max(1, int64(st.Bsize)) //nolint:unconvert // int32 on some architectures
	if st.Bavail > uint64(math.MaxInt64/size) {
		return math.MaxInt64, nil
	}
	return int64(st.Bavail) * size, nil
}
