// Command serve serves the files below a directory by HTTP, and no response mixes two versions of
// a file: each is sent from a snapshot, however slow the client, and whatever happens to the file
// meanwhile.
//
//	go run ./examples/serve [-addr host:port] [-grace duration] [-stall duration] [-lazy] [directory]
//
// Files are found at their names, directories are listed, ranges and conditional requests
// answered; each request is a line on standard error. Symbolic links are followed inside the
// directory and not out of it; what is neither a file nor a directory is not served.
//
// SIGINT and SIGTERM end it when the responses under way are complete, or after the time that -grace
// gives them. A client that takes more than a minute, or what -stall says, for 32 KiB of its response is
// given up; there is no limit to how long all of it may take. The exit status is 0; 1 if it could not serve or had to cut off a response; 2 for
// wrong usage.
//
// Each file is one idea: main.go starts and ends the server, tags.go tells versions of a file apart,
// log.go writes down what it did.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

const usage = `usage: serve [-addr host:port] [-grace duration] [-stall duration] [-lazy] [directory]

Serves the files below a directory (default: the one it is started in) by HTTP, each response from a
snapshot of the file.

`

// hangup is SIGHUP, which package syscall does not define for GOOS=js.
const hangup = syscall.Signal(1)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, hangup)
	context.AfterFunc(ctx, stop) // a second signal ends the process
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run serves until the context ends, and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	addr := flags.String("addr", "127.0.0.1:8080", "`address` to listen at; port 0 means any that is free")
	grace := flags.Duration("grace", 10*time.Second, "how long to wait for responses under way before the end")
	stall := flags.Duration("stall", time.Minute, "how long a client may take for 32 KiB of its response")
	lazy := flags.Bool("lazy", false, "copy a file only when a process wants to write to it")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return 0
	case err == nil && flags.NArg() > 1:
		err = errors.New("want one directory")
	case err == nil && *stall <= 0:
		err = errors.New("-stall must be positive")
	}
	if err != nil {
		fmt.Fprintf(stderr, "serve: %v (-h shows the usage)\n", err)
		return 2
	}
	dir := "."
	if flags.NArg() == 1 {
		dir = flags.Arg(0)
	}
	config := snapshot.Config{Lazy: *lazy}
	if err := serve(ctx, *addr, dir, config, *grace, *stall, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "serve: %v\n", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, addr, dir string, config snapshot.Config, grace, stall time.Duration, stdout, stderr io.Writer) (err error) {
	fsys, err := adapters.NewFS(dir, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsys.Close()) }()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	logger := log.New(stderr, "", log.LstdFlags|log.LUTC)
	server := &http.Server{
		Handler: logged(logger, stall, onlyReads(tagged(fsys))),
		// A WriteTimeout would be one for the whole response, which may be large; see counter.
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          logger,
	}
	fmt.Fprintf(stdout, "serving %s at http://%s/\n", dir, listener.Addr())

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	// The context has ended, so it cannot be the one that limits the waiting.
	waiting, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err = server.Shutdown(waiting)
	if err != nil {
		err = errors.Join(fmt.Errorf("responses were cut off: %w", err), server.Close())
	}
	<-served //nolint:errcheck // it is http.ErrServerClosed
	return err
}

// onlyReads refuses every method but GET and HEAD, which http.FileServerFS takes for GET.
func onlyReads(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}
