package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest/internal/seccomp"
)

// The exit codes of env(1) and docker run, for failures before the command runs.
const (
	failed      = 125
	cannotRun   = 126
	cannotFind  = 127
	description = `usage: restrict [flags] [--] command [argument...]

Runs a command with fewer rights and system calls. The command takes the place of this program: its
exit code, signals and process id are those of this one. Set-user-ID programs do not change the
user.

`
)

// options are what the command line asks for.
type options struct {
	docker  bool
	user    int
	rules   []seccomp.Rule
	command []string
}

func main() {
	// The bounding set and the filter belong to one thread, which has to be the one that calls
	// execve.
	runtime.LockOSThread()
	o, flags, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(description)
		flags.SetOutput(os.Stdout)
		flags.PrintDefaults()
		os.Exit(0)
	case err != nil:
		fmt.Fprintf(os.Stderr, "restrict: %v (-h shows the usage)\n", err)
		os.Exit(failed)
	}
	code, err := run(o)
	fmt.Fprintf(os.Stderr, "restrict: %v\n", err)
	os.Exit(code)
}

func parse(args []string) (options, *flag.FlagSet, error) {
	o := options{user: -1}
	flags := flag.NewFlagSet("restrict", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&o.docker, "docker", false,
		"the capabilities and system calls of a Docker container with default options")
	isOld := flags.Bool("old", false, "refuse FICLONE, copy_file_range, statx, renameat2 and openat2,"+
		" which old kernels and some sandboxes lack")
	flags.Func("refuse", "comma `list` of call=ERRNO or call:COMMAND=ERRNO;"+
		" for example statx=ENOSYS,ioctl:FICLONE=ENOTTY", func(list string) error {
		rules, err := parseRules(list)
		o.rules = append(o.rules, rules...)
		return err
	})
	flags.IntVar(&o.user, "user", -1, "become the user and the group of this `id`, in no other group")
	if err := flags.Parse(args); err != nil {
		return o, flags, err
	}
	if o.docker {
		o.rules = append(o.rules, docker()...)
	}
	if *isOld {
		o.rules = append(o.rules, old()...)
	}
	o.command = flags.Args()
	if len(o.command) == 0 {
		return o, flags, errors.New("no command")
	}
	return o, flags, nil
}

// run starts the command in place of this program. It returns only if that fails.
func run(o options) (code int, err error) {
	path, err := exec.LookPath(o.command[0])
	if err != nil {
		return cannotFind, err
	}
	if o.docker {
		if err := limitCapabilities(); err != nil {
			return failed, err
		}
	}
	if o.user >= 0 {
		if err := become(o.user); err != nil {
			return failed, err
		}
	}
	if err := seccomp.Install(o.rules); err != nil {
		return failed, err
	}
	err = unix.Exec(path, o.command, os.Environ())
	return cannotRun, &os.PathError{Op: "exec", Path: path, Err: err}
}

// become changes all threads. Unless id is 0, the command has no capabilities.
func become(id int) error {
	if err := unix.Setgroups(nil); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := unix.Setresgid(id, id, id); err != nil {
		return fmt.Errorf("setresgid: %w", err)
	}
	if err := unix.Setresuid(id, id, id); err != nil {
		return fmt.Errorf("setresuid: %w", err)
	}
	return nil
}
