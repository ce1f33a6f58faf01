// Package program holds what the programs beside it have in common: exit status, -h, signals,
// a progress bar, names that are safe to print. Copy it along with the program you copy.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Std is what a program reads and writes besides files.
type Std struct {
	In       io.Reader
	Out, Err io.Writer
}

// A Run is a program: what is left of main when the process is taken away, so that a test can
// call it.
type Run func(ctx context.Context, args []string, std Std) error

// The exit status of a program. An [Exit] has any other.
const (
	Failed   = 1
	BadUsage = 2
)

// An Exit is an error with an exit status of its own.
type Exit struct {
	Status int
	Err    error
}

func (e *Exit) Error() string { return e.Err.Error() }
func (e *Exit) Unwrap() error { return e.Err }

// Usage returns an error about how the program was called.
func Usage(format string, args ...any) error {
	return &Exit{BadUsage, fmt.Errorf(format+" (-h shows the usage)", args...)}
}

// hangup is SIGHUP, which package syscall does not define for GOOS=js.
const hangup = syscall.Signal(1)

// Main runs a program in this process and does not return. SIGINT, SIGTERM and SIGHUP end the
// context, so that the program can clean up; a second one ends the process.
func Main(name string, run Run) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, hangup)
	context.AfterFunc(ctx, stop)
	os.Exit(Call(ctx, name, run, os.Args[1:], Std{os.Stdin, os.Stdout, os.Stderr}))
}

// Call runs a program, prints its error after its name, and returns its exit status.
func Call(ctx context.Context, name string, run Run, args []string, std Std) int {
	err := run(ctx, args, std)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx) // which signal it was, not what it broke
	}
	for _, line := range lines(err) {
		fmt.Fprintf(std.Err, "%s: %s\n", name, line)
	}
	if exit := (*Exit)(nil); errors.As(err, &exit) {
		return exit.Status
	}
	return Failed
}

// lines returns a printable line for each error that errors.Join joined. It does not split text:
// a file name in an error can contain a newline, and what follows must not look like a message.
func lines(err error) (all []string) {
	if exit, ok := err.(*Exit); ok { //nolint:errorlint // one level at a time
		return lines(exit.Err)
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the same
		var texts []string
		for _, e := range several.Unwrap() {
			texts = append(texts, e.Error())
			all = append(all, lines(e)...)
		}
		if err.Error() == strings.Join(texts, "\n") { // not so with fmt.Errorf
			return all
		}
	}
	return []string{Printable(err.Error())}
}

// Count returns "1 place" or "2 places". The words are those for one and for any other number.
func Count[N int | int64](n N, one, other string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, other)
}

// Parse parses the flags. With -h it prints the usage and returns flag.ErrHelp, which is no
// failure.
func Parse(flags *flag.FlagSet, usage string, args []string, std Std) error {
	flags.SetOutput(io.Discard) // Call prints the error
	flags.Usage = func() {}
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(std.Out, usage)
		flags.SetOutput(std.Out)
		flags.PrintDefaults()
		return err
	}
	if err != nil {
		return Usage("%w", err)
	}
	return nil
}

// Copy is io.Copy, given up when the context ends. It calls copied, unless nil, with the size
// of each part.
func Copy(ctx context.Context, dst io.Writer, src io.Reader, copied func(n int)) error {
	buf := make([]byte, 128<<10)
	for {
		n, err := src.Read(buf)
		if cerr := ctx.Err(); cerr != nil {
			return cerr
		}
		if _, werr := dst.Write(buf[:n]); werr != nil {
			return werr
		}
		if copied != nil {
			copied(n)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
