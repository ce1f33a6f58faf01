package adapters_test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// sparseEnv holds the directory of a child of TestFSSparseFiles.
const sparseEnv = "ADAPTERS_SPARSE"

// Files whose sizes add up to more than all addresses take no disk space. While slow clients have a
// hundred of them open, an FS serves the first bytes of each, and all of the small files. A child
// process serves them, because it ends if the Go runtime finds no addresses.
//
//promise:adapters.FS.Open huge sparse files, all open at once, leave addresses to other files
//promise:adapters.FS however many huge sparse files slow clients have open, other files are served
func TestFSSparseFiles(t *testing.T) {
	if math.MaxInt == math.MaxInt32 {
		t.Skip("32 bits: no such file can be opened")
	}
	if dir := os.Getenv(sparseEnv); dir != "" {
		serveSparse(t, dir)
		return
	}
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		runtime.LockOSThread() // the parent whose death Pdeathsig reports is the thread that forked
		defer runtime.UnlockOSThread()
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestFSSparseFiles$", "-test.v")
		cmd.Env = append(os.Environ(), sparseEnv+"="+dir, "GORACE=atexit_sleep_ms=0")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("the child: %v\n%s", err, out[:min(len(out), 6000)])
		}
		t.Logf("%s", out)
	})
}

// serveSparse is the child.
func serveSparse(t *testing.T, dir string) {
	mounttest.Leaks(t)
	head := random(5000)
	var total float64
	n := mounttest.Count(100, 200, 500)
	for i := range n {
		name := put(t, dir, fmt.Sprint("sparse", i), head)
		size := int64(1) << (40 + i%6)
		for os.Truncate(name, size) != nil { // larger than the filesystem has files
			size /= 2
		}
		total += float64(size)
	}
	small := random(200_000)
	for i := range 40 {
		put(t, dir, fmt.Sprint("small", i), small)
	}
	fsys := newFS(t, dir, snapshot.Config{})
	fsys.SetLimits(adapters.Limits{Held: -1}) // whose sum of sizes is larger
	server := httptest.NewServer(http.FileServerFS(fsys))
	defer server.Close()
	defer server.CloseClientConnections()
	get := func(name string) *http.Response {
		t.Helper()
		resp, err := server.Client().Get(server.URL + "/" + name)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", name, resp.Status)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	for i := range n {
		p := make([]byte, len(head))
		if _, err := io.ReadFull(get(fmt.Sprint("sparse", i)).Body, p); err != nil {
			t.Fatal(err)
		}
		same(t, p, head)
	}
	t.Logf("%d files of %.3g bytes are being served", n, total)
	for i := range 40 {
		p, err := io.ReadAll(get(fmt.Sprint("small", i)).Body)
		if err != nil {
			t.Fatal(err)
		}
		same(t, p, small)
	}
	m, err := snapshot.Open(filepath.Join(dir, "small0"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	same(t, m.Bytes(), small)
	runtime.GC()
	for range 100 {
		_ = make([]byte, 1<<20)
	}
}
