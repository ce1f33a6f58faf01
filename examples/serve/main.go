// Command serve serves the files below a directory by HTTP, and no response mixes two versions of
// a file: each is sent from a snapshot, however slow the client, and whatever happens to the file
// meanwhile.
//
//	go run ./examples/serve [flags] [directory]
//
// Files are found at their names, directories are listed, ranges and conditional requests
// answered; each request is a line on standard error. Symbolic links are followed inside the
// directory and not out of it. Names that begin with a dot, links that lead out, FIFOs, sockets and
// devices are not found.
//
// What clients can make it do has limits, each with a flag: connections, ranges in a request, bytes
// that are copied at a time and that copies hold (on filesystems without reflinks each file in use
// is a copy), the time for a part of a response. Beyond the limits for copies the answer is 503.
// If the address is a loopback address, only requests for a loopback host are answered: otherwise
// a web page could read the files by a name of its own that leads to 127.0.0.1 (DNS rebinding).
// There is no TLS and no authentication.
//
// SIGINT and SIGTERM end it when the responses under way are complete, or after the time that -grace
// gives them. The exit status is 0; 1 if it could not serve or had to cut off a response; 2 for wrong
// usage.
//
// Each file is one idea: main.go has the flags, server.go starts and ends the server, host.go checks
// the host, connections.go limits the connections, log.go writes a line for each request.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `usage: serve [flags] [directory]

Serves the files below a directory (default: the one it is started in) by HTTP, each response from a
snapshot of the file. Names that begin with a dot and links that lead out are not found. There is no
TLS and no authentication.

A download that broke off is resumed with the ETag of its first part, so that a file that was replaced
meanwhile comes whole:

	curl --etag-save tag -o f http://127.0.0.1:8080/f
	curl -C - -H "If-Range: $(cat tag)" -o f http://127.0.0.1:8080/f

If the file was replaced, the second command fails, with status 33: then begin again. Without If-Range,
curl would add the end of the new file to the beginning of the old one.

`

// hangup is SIGHUP, which package syscall does not define for GOOS=js.
const hangup = syscall.Signal(1)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, hangup)
	context.AfterFunc(ctx, stop) // a second signal ends the process
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the flags and the directory.
type options struct {
	dir, addr    string
	grace, stall time.Duration
	connections  int
	ranges       int
	held         int64 // MiB
	copying      int64 // MiB
	lazy         bool
}

// run serves until the context ends, and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	o := options{dir: "."}
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8080",
		"`address` to listen at; port 0 means any that is free")
	flags.DurationVar(&o.grace, "grace", 10*time.Second,
		"how long to wait for responses under way before the end")
	flags.DurationVar(&o.stall, "stall", 2*time.Minute,
		"how long a client may take for 1 MiB of its response")
	flags.IntVar(&o.connections, "connections", 256, "how many connections to have at a time")
	flags.IntVar(&o.ranges, "ranges", 16, "how many ranges a request may ask for")
	flags.Int64Var(&o.held, "held", 1024, "how many `MiB` copies of files may hold; no larger file is copied")
	flags.Int64Var(&o.copying, "copying", 256, "how many `MiB` to copy at a time, or one file that is larger")
	flags.BoolVar(&o.lazy, "lazy", false, "copy a file only when a process wants to write to it")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return 0
	case err == nil:
		err = o.check(flags.Args())
	}
	if err != nil {
		fmt.Fprintf(stderr, "serve: %v (-h shows the usage)\n", err)
		return 2
	}
	if err := serve(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "serve: %v\n", err)
		return 1
	}
	return 0
}

// check takes the arguments, and returns an error that says what is wrong with the flags or with them.
func (o *options) check(args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("want one directory, not %d: %q", len(args), args)
	}
	if len(args) == 1 {
		o.dir = args[0]
	}
	const most = 1 << 40 // in bytes, it is an int64
	switch {
	case o.stall <= 0:
		return errors.New("-stall must be positive")
	case o.grace < 0:
		return errors.New("-grace must not be negative")
	case o.connections <= 0:
		return errors.New("-connections must be positive")
	case o.ranges <= 0:
		return errors.New("-ranges must be positive")
	case o.held <= 0 || o.held > most:
		return errors.New("-held must be positive, and not more than 2^40")
	case o.copying <= 0 || o.copying > most:
		return errors.New("-copying must be positive, and not more than 2^40")
	}
	return nil
}
