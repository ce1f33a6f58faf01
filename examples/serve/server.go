package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/adapters/httpfs"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

func serve(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	fsys, err := adapters.NewFS(o.dir, snapshot.Config{Lazy: o.lazy})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsys.Close()) }()
	fsys.SetLimits(adapters.Limits{Held: o.held << 20, Copying: o.copying << 20})
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	logger := log.New(stderr, "", log.LstdFlags|log.LUTC)
	files := &httpfs.Handler{FS: fsys, Hide: hasDot, Stall: o.stall, Ranges: o.ranges}
	limited := newConnections(listener, o.connections)
	server := &http.Server{
		Handler:           logged(logger, onlyHosts(listener.Addr(), files)),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		// The Handler replaces it for each part of a file.
		WriteTimeout:   o.stall,
		IdleTimeout:    30 * time.Second,
		MaxHeaderBytes: 64 << 10,
		ConnState:      limited.note,
		ErrorLog:       logger,
	}
	fmt.Fprintf(stdout, "serving %s at http://%s/\n", o.dir, listener.Addr())

	served := make(chan error, 1)
	go func() { served <- server.Serve(limited) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	// The context has ended, so it cannot be the one that limits the waiting.
	waiting, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.grace)
	defer cancel()
	err = server.Shutdown(waiting)
	if err != nil {
		err = errors.Join(fmt.Errorf("responses were cut off: %w", err), server.Close())
	}
	<-served //nolint:errcheck // it is http.ErrServerClosed
	return err
}

// hasDot reports whether the last element of a name begins with a dot.
func hasDot(name string) bool {
	return strings.HasPrefix(name[strings.LastIndexByte(name, '/')+1:], ".")
}
