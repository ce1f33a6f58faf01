package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

// The environment of a process that is a gateway: the directory of its data, and its socket.
const (
	gatewayDir    = "UPLOAD_TEST_GATEWAY"
	gatewaySocket = "UPLOAD_TEST_SOCKET"
	accessKey     = "test"
	secretKey     = "of the test"
)

// serveGateway is an S3 server with its data in dir, until standard input ends.
func serveGateway(dir, socket string) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	sidecar := filepath.Join(dir, "attributes") // the filesystem need not have any
	attributes, err := meta.NewSideCar(sidecar)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	store, err := posix.New(data, attributes, posix.PosixOpts{SideCarDir: sidecar})
	if err != nil {
		return err
	}
	return embedgw.RunVersityGW(ctx, store, &embedgw.Config{
		RootUserAccess: accessKey, RootUserSecret: secretKey, Ports: []string{socket},
		MaxConnections: 1000, MaxRequests: 1000, MultipartMaxParts: 10_000,
		Quiet: true, KeepAlive: true,
	})
}

// A gateway is an S3 server in a process of its own, on an abstract socket of its own.
type gateway struct {
	t      *testing.T
	dir    string
	socket atomic.Pointer[string]
	cmd    *exec.Cmd
	stdin  io.Closer
}

// newGateway starts a gateway with no data, which ends with the test.
func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{t: t, dir: t.TempDir()}
	for _, name := range []string{"data", "attributes"} {
		must(t, os.Mkdir(filepath.Join(g.dir, name), 0o755))
	}
	g.start()
	t.Cleanup(g.kill)
	return g
}

// start starts the process and waits until it can be reached.
func (g *gateway) start() {
	g.t.Helper()
	exe, err := os.Executable()
	must(g.t, err)
	socket := "@upload-test-" + rand.Text()
	var said bytes.Buffer
	g.cmd = exec.Command(exe)
	g.cmd.Env = append(os.Environ(), gatewayDir+"="+g.dir, gatewaySocket+"="+socket)
	g.cmd.Stdout, g.cmd.Stderr = &said, &said
	g.stdin, err = g.cmd.StdinPipe()
	must(g.t, err)
	must(g.t, g.cmd.Start())
	for {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
			break
		}
		if g.t.Context().Err() != nil || !running(g.cmd.Process.Pid) {
			g.kill()
			g.t.Fatalf("no gateway: %v\n%s", err, &said)
		}
	}
	g.socket.Store(&socket)
}

// kill ends the process in the middle of what it does.
func (g *gateway) kill() {
	_ = g.cmd.Process.Kill()
	_ = g.cmd.Wait()
	_ = g.stdin.Close()
}

// running reports whether a child is no zombie yet.
func running(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(state, []byte("Z"))
}
