package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// The files of raw output.
const (
	rawBenchmarks = "benchmarks.txt" // what benchstat reads
	rawScenarios  = "scenarios.txt"
	rawStall      = "stall.txt"
	rawCrash      = "crash.txt"
)

// A step is a command that is run in a directory of the repository, and where its output goes.
type step struct {
	to, dir string
	env     []string
	args    []string
}

func (s step) String() string {
	words := append(append([]string(nil), s.env...), "go", "-C", s.dir)
	for _, a := range s.args {
		if strings.ContainsAny(a, "^$|()* ") {
			a = "'" + a + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// steps returns all there is to run. The benchmarks come round count times, so that what the
// machine does now and then does not fall on one of them alone.
func (o options) steps() []step {
	bench := []string{"test", "-run", "^$", "-bench", ".", "-timeout", "12h"}
	if o.quick {
		bench = append(bench, "-short", "-benchtime", "1x")
	}
	var all []step
	for range o.count {
		all = append(all,
			step{rawBenchmarks, "benchmarks", nil, append(bench, ".")},
			step{rawBenchmarks, "benchmarks/peers", nil, append(bench, ".")})
	}
	ci, rounds := []string{"MOUNTTEST_COUNT=ci"}, "21x"
	if o.quick {
		ci, rounds = nil, "3x"
	}
	all = append(all,
		step{rawScenarios, "benchmarks/peers", ci, []string{"test", "-count", "1", "-run", "Scenarios", "-v", "."}},
		step{rawStall, "benchmarks/external", nil, []string{
			"test", "-run", "^$", "-bench", "Stall", "-benchtime", rounds, ".",
		}},
		step{rawCrash, "snapshot", ci, []string{"test", "-count", "1", "-timeout", "2h", "-run", "Crash(Images|Shutdown|Kill|Control)", "-v", "."}})
	return all
}

// root is the top of the repository, seen from here.
const root = "../.."

func (o options) run() error {
	var failed error
	begun := map[string]bool{}
	for i, s := range o.steps() {
		fmt.Fprintf(os.Stderr, "report: %d of %d: %s\n", i+1, len(o.steps()), s)
		flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
		if !begun[s.to] {
			flags |= os.O_TRUNC
		}
		f, err := os.OpenFile(filepath.Join(o.out, s.to), flags, 0o666)
		if err != nil {
			return err
		}
		if !begun[s.to] && s.to == rawBenchmarks {
			_, err = f.WriteString(o.machine())
		}
		begun[s.to] = true
		if err == nil {
			err = s.run(f)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			// What it had to say is in the file, and the others may do better.
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s, err))
			fmt.Fprintln(os.Stderr, "report:", err)
		}
	}
	return failed
}

func (s step) run(to io.Writer) error {
	cmd := exec.Command("go", s.args...)
	cmd.Dir = filepath.Join(root, s.dir)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stdout, cmd.Stderr = to, os.Stderr
	return cmd.Run()
}

// machine describes what the figures come from, as configuration lines of benchmark output.
func (o options) machine() string {
	var b strings.Builder
	line := func(key, value string) { fmt.Fprintf(&b, "%s: %s\n", key, value) }
	line("processors", fmt.Sprint(runtime.NumCPU()))
	line("memory", field("/proc/meminfo", "MemTotal"))
	line("kernel", output("uname", "-sr"))
	line("go", runtime.Version())
	line("xfsprogs", output("mkfs.xfs", "-V"))
	line("btrfs-progs", output("mkfs.btrfs", "-V"))
	line("e2fsprogs", output("mkfs.ext4", "-V"))
	line("load", output("cut", "-d ", "-f1-3", "/proc/loadavg"))
	args := fmt.Sprint("-count ", o.count)
	if o.quick {
		args += " -quick"
	}
	line("command", "go -C benchmarks/report run . "+args)
	return b.String()
}

// output returns the first line that a command prints.
func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil && len(out) == 0 {
		return err.Error()
	}
	line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	return string(line)
}

// field returns the value that stands behind a key in a file of the kernel's.
func field(name, key string) string {
	data, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(line, ":"); ok && k == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}
