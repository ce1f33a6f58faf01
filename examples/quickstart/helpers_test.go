package main

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// small returns settings with which a run takes a fraction of a second.
func small(t *testing.T, dir string) config {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	source, err := goSource(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return config{
		dir:      dir,
		source:   filepath.Join(source, "archive"),
		size:     1<<20 + 4096,
		walks:    3,
		rounds:   3,
		pause:    time.Millisecond,
		budget:   20 * time.Millisecond,
		progress: io.Discard,
	}
}

func checkEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
