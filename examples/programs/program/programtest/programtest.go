// Package programtest calls a program in a test, and makes life hard for it meanwhile.
package programtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

// A Result is what came of a program.
type Result struct {
	Status   int
	Out, Err string
}

// Call calls a program with nothing on standard input.
func Call(tb testing.TB, run program.Run, args ...string) Result {
	tb.Helper()
	return CallWith(tb, run, "", nil, args...)
}

// CallWith calls a program with in on standard input. Before the first byte of its output is
// taken, it calls meanwhile, unless nil.
func CallWith(tb testing.TB, run program.Run, in string, meanwhile func(), args ...string) Result {
	tb.Helper()
	NeedLinux(tb)
	var out output
	out.meanwhile = meanwhile
	var errs strings.Builder
	status := program.Call(tb.Context(), "prog", run, args, program.Std{In: strings.NewReader(in), Out: &out, Err: &errs})
	if out.Len() > mostOutput {
		tb.Errorf("%q: more than %d bytes of output", args, mostOutput)
	}
	return Result{status, out.String(), errs.String()}
}

// NeedLinux skips a test that opens a snapshot where there are none.
func NeedLinux(tb testing.TB) {
	tb.Helper()
	if runtime.GOOS != "linux" {
		tb.Skip("snapshots need Linux")
	}
}

// mostOutput is how much output Call keeps. A program without a limit of its own fails the test at
// once, and does not fill the memory of the machine before.
const mostOutput = 64 << 20

// An output keeps the output of a program, up to mostOutput bytes and the Write that exceeds them.
type output struct {
	strings.Builder
	meanwhile func()
}

func (o *output) Write(p []byte) (int, error) {
	if o.meanwhile != nil {
		o.meanwhile()
		o.meanwhile = nil
	}
	if o.Len() > mostOutput {
		return 0, errors.New("too much output for a test")
	}
	return o.Builder.Write(p)
}

// Want fails the test unless the program ended with status, and both outputs contain what they
// are to contain.
func (r Result) Want(tb testing.TB, status int, out, err string) {
	tb.Helper()
	if r.Status != status || !strings.Contains(r.Out, out) || !strings.Contains(r.Err, err) {
		tb.Errorf("got status %d, %.300q, %.300q\nwant %d, %q, %q", r.Status, r.Out, r.Err, status, out, err)
	}
	if (r.Err != "") != (err != "") {
		tb.Errorf("on standard error: %q", r.Err)
	}
}

// Put makes a file and returns its name.
func Put(tb testing.TB, dir, name, content string) string {
	tb.Helper()
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		tb.Fatal(err)
	}
	return name
}

// Destroy overwrites the beginning of a file in place and then truncates it: what ends a
// program that has it mapped.
func Destroy(tb testing.TB, name string) {
	tb.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		tb.Error(err)
		return
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("destroyed"), 0); err != nil {
		tb.Error(err)
	}
	if err := f.Truncate(1); err != nil {
		tb.Error(err)
	}
}

// Replace makes content the contents of the file name by a rename, so that whoever opens it
// gets a whole version.
func Replace(name, content string) error {
	temp := name + ".new"
	if err := os.WriteFile(temp, []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(temp, name)
}

// WantHelp fails the test unless a binary shows its usage with -h.
func WantHelp(tb testing.TB, exe, usage string) {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), exe, "-h").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), usage) {
		tb.Errorf("-h: %v: %s", err, out)
	}
}

// Build builds the program in the working directory and returns the name of the binary.
func Build(tb testing.TB) string {
	tb.Helper()
	NeedLinux(tb)
	exe := filepath.Join(tb.TempDir(), "prog")
	out, err := exec.CommandContext(tb.Context(), "go", "build", "-o", exe, ".").CombinedOutput()
	if err != nil {
		tb.Fatalf("go build: %v\n%s", err, out)
	}
	return exe
}
