package main

import (
	"net"
	"net/http"
	"sync"
)

// connections is a listener that accepts no more connections than its limit. Further clients wait in
// the kernel's queue. The connections are not wrapped, because net/http hands the memory of a file
// only to a *net.TCPConn.
type connections struct {
	net.Listener
	room   chan struct{}
	closed chan struct{}
	close  func() error
}

func newConnections(l net.Listener, limit int) *connections {
	c := &connections{Listener: l, room: make(chan struct{}, limit), closed: make(chan struct{})}
	c.close = sync.OnceValue(func() error {
		close(c.closed)
		return l.Close()
	})
	return c
}

func (c *connections) Accept() (net.Conn, error) {
	select {
	case c.room <- struct{}{}:
	case <-c.closed:
		return nil, net.ErrClosed
	}
	conn, err := c.Listener.Accept()
	if err != nil {
		<-c.room
	}
	return conn, err
}

func (c *connections) Close() error { return c.close() }

// note is the ConnState of the server: net/http closes each connection that it accepts.
func (c *connections) note(_ net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		<-c.room
	}
}
