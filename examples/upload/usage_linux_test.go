package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func TestUsage(t *testing.T) {
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_REGION", "")
	for _, args := range [][]string{
		{}, {"file"}, {"file", name, "more"}, {"-get", name}, {"-get", "-verify", name, "file"},
		{"-verify"}, {"-abort"}, {"-abort", name, "file"},
		{"-part-size", "4", "file", name}, {"-part-size", "5121", "file", name},
		{"-jobs", "0", "file", name}, {"-endpoint", "localhost:9000", "file", name}, {"-x"},
		{"file", "bucket/key"}, {"file", "s3://bucket"}, {"file", "s3://bucket/"}, {"file", "s3:///key"},
		{"-get", "file", name}, {"-verify", "file", name}, {"-abort", "file"}, {"file", name},
	} {
		programtest.Call(t, run, args...).Want(t, 2, "", "-h shows the usage")
	}
	programtest.Call(t, run, "-h").Want(t, 0, "usage: upload ", "")
}

// Errors name what could not be done, on one line without control characters.
func TestErrors(t *testing.T) {
	newStore(t)
	dir := t.TempDir()
	file := programtest.Put(t, dir, "odd\x1b[2J\nname", "content")
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{file + ".missing", name}, "no such file"},
		{[]string{file, "s3://missing-bucket/key"}, "NoSuchBucket"},
		{[]string{"-get", "s3://bucket/odd\x1b[2J\nkey", filepath.Join(dir, "got")}, "StatusCode: 404"},
		{[]string{"-verify", "s3://bucket/missing"}, "look up s3://bucket/missing: "},
		{[]string{"-abort", "s3://missing-bucket/key"}, "list unfinished uploads of s3://missing-"},
		{[]string{"-endpoint", "http://127.0.0.1:1", file, name}, "connection refused"},
	} {
		r := call(t, x.args...)
		r.Want(t, 1, "", x.want)
		if strings.Count(r.Err, "\n") != 1 || strings.Contains(r.Err, "\x1b") {
			t.Errorf("not one printable line: %q", r.Err)
		}
	}
	r := call(t, file, "s3://bucket/a\x1b[2J\nb")
	if r.Want(t, 0, "", ""); strings.Count(r.Out, "\n") != 1 || strings.Contains(r.Out, "\x1b") {
		t.Errorf("not one printable line: %q", r.Out)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	call(t, file, name).Want(t, 1, "", "SignatureDoesNotMatch")
	mounttest.WantNames(t, dir, filepath.Base(file))
}

// SIGINT in the middle ends upload and leaves nothing, in the store nor on the disk, whatever
// request it meets.
func TestInterrupted(t *testing.T) {
	exe := programtest.Build(t)
	s := newStore(t)
	dir := t.TempDir()
	file, to := programtest.Put(t, dir, "file", version(1, 3*part)), filepath.Join(dir, "got")
	programtest.WantHelp(t, exe, "usage: upload")
	interruptAt := func(hit string, first int, f fault, args ...string) {
		args = append([]string{"-path-style", "-part-size", "5", "-jobs", "1"}, args...)
		cmd := exec.CommandContext(t.Context(), exe, args...)
		started := make(chan struct{})
		var once sync.Once
		s.follow(func(op string, n int) fault {
			if op != hit || n < first {
				return passed
			}
			once.Do(func() {
				<-started
				_ = cmd.Process.Signal(syscall.SIGINT)
			})
			return f
		})
		var said strings.Builder
		cmd.Stderr = &said
		must(t, cmd.Start())
		close(started)
		_ = cmd.Wait()
		if cmd.ProcessState.ExitCode() != 1 || !strings.HasPrefix(said.String(), "upload: interrupt") {
			t.Errorf("interrupted at %s: %v, %q", hit, cmd.ProcessState, &said)
		}
		s.wantNoUploads(t)
		mounttest.WantNames(t, dir, "file")
	}
	interruptAt("CreateMultipartUpload", 0, passed, file, name)
	interruptAt("UploadPart", 1, held, file, name) // the first part has arrived
	interruptAt("CompleteMultipartUpload", 0, held, file, name)
	if s.content(t) != "" {
		t.Error("there is an object")
	}
	call(t, file, name).Want(t, 0, "", "")
	interruptAt("GetObject", 1, held, "-get", name, to)
}
