package program_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

func TestCall(t *testing.T) {
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("terminated"))
	for _, x := range []struct {
		ctx    context.Context
		err    error
		status int
		want   string
	}{
		{t.Context(), nil, 0, ""},
		{t.Context(), flag.ErrHelp, 0, ""},
		{t.Context(), fs.ErrExist, 1, "prog: file already exists\n"},
		{t.Context(), program.Usage("want %d", 1), 2, "prog: want 1 (-h shows the usage)\n"},
		{t.Context(), &program.Exit{Status: 3, Err: fs.ErrExist}, 3, "prog: file already exists\n"},
		{t.Context(), errors.Join(fs.ErrExist, errors.New("\x1b[2J")), 1, "prog: file already exists\nprog: \"\\x1b[2J\"\n"},
		{t.Context(), &program.Exit{Status: 3, Err: errors.Join(fs.ErrExist, fs.ErrInvalid)}, 3,
			"prog: file already exists\nprog: invalid argument\n"},
		{cancelled, fs.ErrExist, 1, "prog: terminated\n"},
	} {
		var stderr strings.Builder
		run := func(context.Context, []string, program.Std) error { return x.err }
		status := program.Call(x.ctx, "prog", run, nil, program.Std{Err: &stderr})
		if status != x.status || stderr.String() != x.want {
			t.Errorf("%v: status %d, %q", x.err, status, &stderr)
		}
	}
}

// A newline in a file name begins no line that looks like a message of the program.
func TestCallWithForgedNames(t *testing.T) {
	const name = "x\nprog: all members verified"
	failed := &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	for _, err := range []error{
		failed,
		fmt.Errorf("%s: %w", name, fs.ErrNotExist),
		fmt.Errorf("%s: %w, %w", name, fs.ErrNotExist, fs.ErrExist),
		errors.Join(failed),
		errors.Join(fs.ErrExist, errors.Join(fs.ErrExist, failed)),
		&program.Exit{Status: 3, Err: failed},
		program.Usage("%s", name),
	} {
		var stderr strings.Builder
		run := func(context.Context, []string, program.Std) error { return err }
		program.Call(t.Context(), "prog", run, nil, program.Std{Err: &stderr})
		if strings.Contains(stderr.String(), "\nprog: all") || !strings.Contains(stderr.String(), `x\nprog: all`) {
			t.Errorf("%#v: %s", err, &stderr)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0 entries", 1: "1 entry", 2: "2 entries"} {
		if got := program.Count(n, "entry", "entries"); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

func TestParse(t *testing.T) {
	var out strings.Builder
	flags := flag.NewFlagSet("prog", flag.ContinueOnError)
	flags.Bool("v", false, "say more")
	err := program.Parse(flags, "usage: prog\n", []string{"-h"}, program.Std{Out: &out})
	if !errors.Is(err, flag.ErrHelp) || !strings.HasPrefix(out.String(), "usage: prog\n") || !strings.Contains(out.String(), "say more") {
		t.Errorf("-h: %v, %q", err, &out)
	}
	var exit *program.Exit
	if err := program.Parse(flags, "", []string{"-x"}, program.Std{}); !errors.As(err, &exit) || exit.Status != 2 {
		t.Errorf("-x: %v", err)
	}
}

func TestCopy(t *testing.T) {
	src, n := strings.Repeat("x", 1<<20), 0
	var dst bytes.Buffer
	if err := program.Copy(t.Context(), &dst, strings.NewReader(src), func(part int) { n += part }); err != nil || dst.String() != src || n != len(src) {
		t.Errorf("%v, %d of %d bytes, %d reported", err, dst.Len(), len(src), n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	dst.Reset()
	err := program.Copy(ctx, &dst, strings.NewReader(src), func(int) { cancel() })
	if !errors.Is(err, context.Canceled) || dst.Len() == len(src) {
		t.Errorf("cancelled: %v after %d bytes", err, dst.Len())
	}
}

// Every string of bytes comes back from JSON, and the usual ones can be read in it.
func TestName(t *testing.T) {
	for _, name := range []string{"", "a/b", "ü", "\xff\xfe", `"`, `"quoted"`, "a\nb", "\u2028", `\x00`, "\ufffd", "\x00"} {
		text, err := json.Marshal(program.Name(name))
		if err != nil {
			t.Fatal(err)
		}
		var back program.Name
		if err := json.Unmarshal(text, &back); err != nil || string(back) != name {
			t.Errorf("%q: %s, %q, %v", name, text, back, err)
		}
	}
	if text, _ := json.Marshal(program.Name("ü")); string(text) != `"ü"` {
		t.Errorf("%s", text)
	}
	var n program.Name
	if err := json.Unmarshal([]byte(`"\"a"`), &n); err == nil {
		t.Error("an open quote: no error")
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"a b/ü":      "a b/ü",
		"\x1b]0;x\a": `"\x1b]0;x\a"`,
		"\xff":       `"\xff"`,
		"a\nb":       `"a\nb"`,
		"\u202e":     `"\u202e"`,
	} {
		if got := program.Printable(in); got != want {
			t.Errorf("%q: %s", in, got)
		}
	}
}

func TestSplitName(t *testing.T) {
	for name, want := range map[string][2]string{
		"x": {".", "x"}, "a/x": {"a/", "x"}, "/x": {"/", "x"}, "a/x//": {"a/", "x"}, "link/../x": {"link/../", "x"},
		"": {".", ""}, "/": {".", ""}, ".": {".", "."}, "a/..": {"a/", ".."},
	} {
		if dir, base := program.SplitName(name); dir != want[0] || base != want[1] {
			t.Errorf("%q: %q, %q", name, dir, base)
		}
	}
}
