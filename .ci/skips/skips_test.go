package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The files of a module in which tests pass, are skipped, fail, panic and do not compile.
var files = map[string]string{
	"go.mod": "module m\n\ngo 1.26\n",
	"pass/pass_test.go": `package pass

import "testing"

func TestPass(t *testing.T) { t.Log("not printed") }

func TestKinds(t *testing.T) {
	for _, kind := range []string{"xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			t.Log("a message before the reason")
			t.Skipf("%s: not root", kind)
		})
	}
}

//promise:syscalls off Linux each function that needs the kernel returns errors.ErrUnsupported
func TestOther(t *testing.T) { t.Run("xfs", func(t *testing.T) { t.Skip("xfs: not root") }) }

func TestLines(t *testing.T) { t.Skip("as uid 1:\n    no lease") }

func TestSilent(t *testing.T) { t.SkipNow() }

func TestWaysOfOpening(t *testing.T) { t.Log("openings: 2 and 3") }
`,
	"fail/fail_test.go": `package fail

import "testing"

func TestPass(t *testing.T) { t.Log("not printed") }

func TestFail(t *testing.T) { t.Run("sub", func(t *testing.T) { t.Error("broken") }) }
`,
	"panic/panic_test.go": `package panic

import "testing"

func TestPanic(t *testing.T) { panic("in the middle") }
`,
	"build/build_test.go": "package build\n\nvar x int = nothing\n",
	"none/none.go":        "package none\n",
}

// goTest runs go test in a module of those files, or of these packages in it.
func goTest(t *testing.T, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", append([]string{"test"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, _ := cmd.CombinedOutput() // fails, for tests do
	return string(out)
}

// varying is what differs from run to run in the output of go test.
var varying = regexp.MustCompile(`[0-9.]+s\b|\(cached\)|0x[0-9a-f]+|/[^ ]*/|goroutine [0-9]+|\+0x.*|^\s+`)

func sorted(out string) []string {
	var lines []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(varying.ReplaceAllString(line, "")); line != "" {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines) // go test adds another FAIL at the end
}

// The output of go test -json comes to the lines that go test prints.
func TestResults(t *testing.T) {
	b := strings.Builder{}
	err := printResults(&b, strings.NewReader(goTest(t, "-json", "./...")))
	if err == nil || err.Error() != "3 of 5 packages failed" {
		t.Errorf("failed with %v", err)
	}
	for _, say := range []string{"broken", "in the middle", "undefined: nothing", "[build failed]", "no test files"} {
		if !strings.Contains(b.String(), say) {
			t.Errorf("no %q in\n%s", say, b.String())
		}
	}
	if got, want := sorted(b.String()), sorted(goTest(t, "./...")); !slices.Equal(got, want) {
		t.Errorf("printed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	b.Reset()
	if err := printResults(&b, strings.NewReader(goTest(t, "-json", "./pass", "./none"))); err != nil {
		t.Errorf("failed with %v and\n%s", err, b.String())
	}
	if err := printResults(&b, strings.NewReader("")); err == nil {
		t.Error("no error without any result")
	}
}

func TestSkips(t *testing.T) {
	b := strings.Builder{}
	if err := printSkips(&b, strings.NewReader(goTest(t, "-json", "./..."))); err != nil {
		t.Fatal(err)
	}
	want := `m/fail: 1 passed, 2 failed, 0 skipped
m/panic: 0 passed, 1 failed, 0 skipped
m/pass: 4 passed, 5 skipped
        openings: 2 and 3
     2  xfs: not root (TestKinds, TestOther)
     1  as uid 1: no lease (TestLines)
     1  btrfs: not root (TestKinds)
     1  no reason given (TestSilent)
`
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), want)
	}
	if err := printSkips(&b, strings.NewReader("ok  \tm\t0.1s\n")); err == nil {
		t.Error("no error for the output of go test without -json")
	}
}

func TestSome(t *testing.T) {
	for want, tests := range map[string][]string{
		"A":               {"A/xfs", "A/btrfs"},
		"A, B, C":         {"A", "B", "C"},
		"A, B and 2 more": {"A", "B/x", "C", "D"},
	} {
		if got := some(tests); got != want {
			t.Errorf("%q: %q, want %q", tests, got, want)
		}
	}
}
