package adapters_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// readFileEnv holds the directory of a child of TestReadFileWithoutMemory.
const readFileEnv = "ADAPTERS_READ_FILE"

// To read a file for which there is no memory is an error, and the program goes on. It is a child
// process, because it ends if that is not so.
//
//promise:adapters.FS.ReadFile a file for which the kernel refuses memory is ENOMEM
func TestReadFileWithoutMemory(t *testing.T) {
	if math.MaxInt == math.MaxInt32 {
		t.Skip("32 bits: no such file can be opened")
	}
	if dir := os.Getenv(readFileEnv); dir != "" {
		fsys := newFS(t, dir, snapshot.Config{})
		fsys.SetLimits(adapters.Limits{Held: -1}) // a copy, all of it a hole
		_, err := fs.ReadFile(fsys, "huge")
		var e *fs.PathError
		if !errors.Is(err, syscall.ENOMEM) || !errors.As(err, &e) || e.Op != "read" || e.Path != "huge" {
			t.Error(err)
		}
		got, err := fs.ReadFile(fsys, "large")
		if err != nil || len(got) != 80<<20 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		return
	}
	overcommit, err := os.ReadFile("/proc/sys/vm/overcommit_memory")
	if err != nil || strings.TrimSpace(string(overcommit)) == "1" {
		t.Skipf("vm.overcommit_memory is %q: the kernel refuses nothing; %v", overcommit, err)
	}
	dir := mounttest.Dir(t, 0)
	for name, size := range map[string]int64{"huge": 8 << 40, "large": 80 << 20} {
		put(t, dir, name, []byte("text"))
		if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestReadFileWithoutMemory$", "-test.v")
	cmd.Env = append(os.Environ(), readFileEnv+"="+dir, "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the child: %v\n%s", err, out[:min(len(out), 6000)])
	}
}
