package main

import (
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// The usage goes to standard output if it was asked for. An error says which argument is wrong.
func TestArguments(t *testing.T) {
	for _, x := range []struct {
		args        []string
		status      int
		out, stderr string
	}{
		{[]string{"-h"}, 0, "usage: quickstart", ""},
		{[]string{"-x"}, 2, "", "quickstart: flag provided but not defined: -x (-h shows the usage)\n"},
		{[]string{"-size", "0"}, 2, "", "quickstart: -size must be between 1 and 1048576, not 0 (-h"},
		{[]string{"-size", "-5"}, 2, "", "not -5 "},
		{[]string{"-size", "x"}, 2, "", `invalid value "x" for flag -size`},
		{[]string{"a", "b"}, 2, "", "want one directory at most, not 2"},
	} {
		var out, stderr strings.Builder
		status := start(x.args, &out, &stderr)
		if status != x.status || !strings.HasPrefix(out.String(), x.out) || !strings.Contains(stderr.String(), x.stderr) ||
			(out.Len() > 0) != (x.out != "") || (stderr.Len() > 0) != (x.stderr != "") {
			t.Errorf("%q: %d, %q, %q", x.args, status, &out, &stderr)
		}
	}
}

// A disk that is too small is an error before anything is made.
func TestNoRoom(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	dir := mounttest.Fresh(t, mounttest.Memory, 64<<20)
	c := small(t, dir)
	c.source = "there is no such directory"
	c.room = 100 << 20
	err := run(t.Context(), c, io.Discard)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), " MiB free, and 100 MiB are needed") {
		t.Errorf("%v", err)
	}
	checkEmpty(t, dir)
	var out, stderr strings.Builder
	if status := start([]string{dir}, &out, &stderr); status != 1 || out.Len() > 0 || !strings.Contains(stderr.String(), "512 MiB are needed") {
		t.Errorf("%d, %q, %q", status, &out, &stderr)
	}
	c.dir = dir + "/missing"
	if err := run(t.Context(), c, io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

// A name in an error makes no line of its own, and sends a terminal no commands.
func TestPrintableError(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	var out, stderr strings.Builder
	status := start([]string{"missing\x1b[2J\nquickstart: fine"}, &out, &stderr)
	if said := stderr.String(); status != 1 || strings.Contains(said, "\x1b") || strings.Count(said, "\n") != 1 {
		t.Errorf("%d, %q", status, said)
	}
}
