package external

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// touchEnv tells TestHelperTouch what to touch, and how.
const touchEnv = "EXTERNAL_TOUCH"

// The same page of the same disk ends a program that touches it through Bytes, and is an error of
// ReadAt: without this the tests of faults would prove nothing.
func TestControlTouch(t *testing.T) {
	eachDisk(t, func(t *testing.T, d *fusetest.Disk, dir string) {
		data := noise(64 * page)
		name := filepath.Join(dir, "f")
		write(t, name, data)
		for way, dies := range map[string]bool{"Bytes": true, "ReadAt": false, "View": false} {
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestHelperTouch$", "-test.v")
			cmd.Env = append(os.Environ(), touchEnv+"="+way+" "+name)
			w, err := cmd.StdinPipe()
			must(t, err)
			out, err := cmd.StdoutPipe()
			must(t, err)
			cmd.Stderr = cmd.Stdout
			must(t, cmd.Start())
			said, lines := new(bytes.Buffer), bufio.NewScanner(out)
			for lines.Scan() {
				fmt.Fprintln(said, lines.Text())
				if lines.Text() == "ready" {
					breakPage(t, d, data, 40) // of a copy, too
					must(t, w.Close())
				}
			}
			err = cmd.Wait()
			crash := "fatal error: fault"
			if (err != nil) != dies || strings.Contains(said.String(), crash) != dies {
				t.Errorf("%s: %v:\n%s", way, err, said)
			}
			d.Heal(t)
		}
	})
}

func TestHelperTouch(t *testing.T) {
	way, name, ok := strings.Cut(os.Getenv(touchEnv), " ")
	if !ok {
		t.Skip("not a test: TestControlTouch runs it in a process of its own")
	}
	m := openCold(t, "Mmap", name).(*snapshot.Mmap)
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))
	off := int64(40 * page)
	var err error
	switch way {
	case "Bytes":
		_ = bytes.Clone(m.Bytes()[off : off+1])
	case "ReadAt":
		_, err = m.ReadAt(make([]byte, 1), off)
	case "View":
		err = m.View(off, 1, func(b []byte) error { _ = bytes.Clone(b); return nil })
	}
	if !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}
