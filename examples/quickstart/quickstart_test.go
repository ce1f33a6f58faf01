package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("QUICKSTART_DIR"); dir != "" { // TestInterrupt wants the program
		os.Args = []string{"quickstart", dir}
		main()
	}
	mounttest.Main(m)
}

func TestRun(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		var out strings.Builder
		if err := run(t.Context(), small(t, dir), &out); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"filesystem  " + mounttest.KindOf(dir).String(), "method ", "archive ", "writer ", "through the snapshot:", "through os.File:",
			"change a byte of 1.0 MiB, durably", "open and close, 16 KiB", "open and close, 1.0 MiB",
			"read in sequence", "read at random", " GiB/s", "Nothing torn was seen",
		}
		switch {
		case mounttest.Has(dir, mounttest.Reflinks):
			want = append(want, "reflink\n")
		case mounttest.Has(dir, mounttest.NoReflinks):
			want = append(want, "copy\n", "Without reflinks")
		}
		for _, s := range want {
			if !strings.Contains(out.String(), s) {
				t.Errorf("no %q in the output", s)
			}
		}
		if n := strings.Count(out.String(), "\n"); n >= 40 {
			t.Errorf("%d lines of output", n)
		}
		if _, row, _ := strings.Cut(out.String(), "through the snapshot:"); !strings.Contains(strings.SplitN(row, "\n", 2)[0], "errors: 0") {
			t.Error("errors through the snapshot")
		}
		if t.Failed() {
			t.Log(out.String())
		}
		checkEmpty(t, dir)
	})
}

// Whenever a run is given up, it says so and leaves nothing behind.
func TestRunCancelled(t *testing.T) {
	c := small(t, t.TempDir())
	mounttest.Leaks(t)
	for after := time.Duration(0); ; after = 2*after + time.Millisecond {
		ctx, cancel := context.WithTimeoutCause(t.Context(), after, os.ErrDeadlineExceeded)
		err := run(ctx, c, io.Discard)
		cancel()
		checkEmpty(t, c.dir)
		if err == nil {
			return // it was faster
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("after %v: %v", after, err)
		}
	}
}

// A full disk is an error wherever it strikes.
func TestRunDiskFull(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	for _, kib := range []int64{64, 1024, 1300, 1800} { // too small for the archive, the large file, a snapshot, a change
		dir := mounttest.Fresh(t, mounttest.Memory, kib<<10)
		if err := run(t.Context(), small(t, dir), io.Discard); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%d KiB: %v", kib, err)
		}
		checkEmpty(t, dir)
	}
}

func TestRunNoDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	err := run(t.Context(), small(t, dir), io.Discard)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), dir) {
		t.Error(err)
	}
}

// That no error was counted means something only if one would have been.
func TestWalkSeesTornArchives(t *testing.T) {
	good := archive(t)
	var tally tally
	tally.walk(t.Context(), bytes.NewReader(good), int64(len(good)))
	if tally.entries != 3 || tally.failed+tally.unreadable != 0 {
		t.Errorf("good archive: %v", tally)
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 0xff
		tally.walk(t.Context(), bytes.NewReader(bad), int64(len(bad)))
	}
	cut := good[:len(good)-1]
	before := tally.unreadable
	tally.walk(t.Context(), bytes.NewReader(cut), int64(len(cut)))
	if tally.failed < len(good)/2 || tally.unreadable != before+1 || tally.first == nil {
		t.Errorf("bad archives: %v", tally)
	}
}

// Something torn is an error, and seen even where every CRC is right.
func TestCheck(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	name := filepath.Join(t.TempDir(), "file")
	good := archive(t)
	if err := os.WriteFile(name, good, 0o666); err != nil {
		t.Fatal(err)
	}
	m, err := snapshot.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var r report
	if err := r.check(t.Context(), m, good); err != nil {
		t.Error(err)
	}
	if r.check(t.Context(), m, good[1:]) == nil {
		t.Error("other contents: no error")
	}
	r.viaSnapshot.failed, r.viaSnapshot.first = 1, zip.ErrChecksum
	if err := r.check(t.Context(), m, good); !errors.Is(err, zip.ErrChecksum) {
		t.Errorf("failed entry: %v", err)
	}
}

// archive returns a zip archive of three entries, most of which is their contents.
func archive(t *testing.T) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range []string{"a", "b", "c"} {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(bytes.Repeat([]byte(name), 500)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestHashFlips(t *testing.T) {
	data := bytes.Repeat([]byte("snapshot"), 150_000) // more than a buffer
	for _, off := range []int64{0, 1<<20 - 1, 1 << 20, int64(len(data)) - 1} {
		flipped := slices.Clone(data)
		flipped[off] = ^flipped[off]
		a, err := hash(t.Context(), bytes.NewReader(data), off)
		if err != nil {
			t.Fatal(err)
		}
		b, err := hash(t.Context(), bytes.NewReader(flipped), -1)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := hash(t.Context(), bytes.NewReader(data), -1)
		if err != nil {
			t.Fatal(err)
		}
		if a != b || a == plain {
			t.Errorf("offset %d", off)
		}
	}
}

// An interrupt ends the program with status 1, a message, and no files.
func TestInterrupt(t *testing.T) {
	dir := small(t, t.TempDir()).dir
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), "QUICKSTART_DIR="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var found []string
	for begin := time.Now(); len(found) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("it does not begin")
		}
		found, _ = filepath.Glob(filepath.Join(dir, "*", "src.zip"))
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "interrupt") {
		t.Errorf("%v: %s", err, &stderr)
	}
	checkEmpty(t, dir)
}
