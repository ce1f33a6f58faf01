package external

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// stallWays prepare a read of a page that is not in memory, and return it.
var stallWays = map[string]func(t *testing.T, name string) (read func() error){
	"Mmap.ReadAt":    coldReadAt("Mmap"),
	"MmapMut.ReadAt": coldReadAt("MmapMut"),
	"Mmap.View":      coldView("Mmap"),
	"MmapMut.View":   coldView("MmapMut"),
	"Mmap.Prefetch": func(t *testing.T, name string) func() error {
		m := openCold(t, "Mmap", name).(*snapshot.Mmap)
		return func() error { return m.Prefetch(0, -1) }
	},
	"MmapMut.WriteAt": func(t *testing.T, name string) func() error {
		m := openCold(t, "MmapMut", name).(*snapshot.MmapMut)
		return func() error {
			_, err := m.WriteAt([]byte("x"), stallPage*page)
			return err
		}
	},
	"Open": func(t *testing.T, name string) func() error {
		return func() error {
			m, err := snapshot.Open(name)
			if err != nil {
				return err
			}
			return m.Close()
		}
	},
	touch: func(t *testing.T, name string) func() error {
		f, err := os.Open(name)
		must(t, err)
		t.Cleanup(func() { _ = f.Close() })
		cool(t, f)
		fi, err := f.Stat()
		must(t, err)
		mem, err := syscalls.Mmap(int(f.Fd()), int(fi.Size()), false)
		must(t, err)
		t.Cleanup(func() { _ = syscalls.Munmap(mem) })
		return func() error {
			_ = bytes.Clone(mem[min(stallPage*page, len(mem)-1):][:1])
			return nil
		}
	},
}

func coldReadAt(kind string) func(t *testing.T, name string) func() error {
	return func(t *testing.T, name string) func() error {
		m := openCold(t, kind, name)
		return func() error {
			_, err := m.ReadAt(make([]byte, 1), stallPage*page)
			return err
		}
	}
}

func coldView(kind string) func(t *testing.T, name string) func() error {
	return func(t *testing.T, name string) func() error {
		m := openCold(t, kind, name)
		return func() error {
			return m.View(stallPage*page, 1, func(b []byte) error {
				_ = bytes.Clone(b)
				return nil
			})
		}
	}
}

// While a goroutine waits for a page of a snapshot that is not in memory, others go on, even with a
// single processor. If it touches a mapping instead, none does, which shows that the test can fail.
//
//promise:snapshot.Mmap.ReadAt while a ReadAt waits for the disk, other goroutines run
func TestStall(t *testing.T) {
	mounttest.EachKind(t, mounttest.Reflinks, func(t *testing.T, kind *mounttest.Kind) {
		d := fusetest.NewDisk(t, diskSize)
		name := filepath.Join(d.Mount(t, kind), "f")
		data := noise(64 * page)
		write(t, name, data)
		held := d.Find(t, data[stallPage*page:][:page])
		for way := range stallWays {
			if way == "Open" {
				continue // which reads nothing
			}
			t.Run(way, func(t *testing.T) { wantOthersGoOn(t, d, held, way, name) })
		}
	})
}

func TestHelperStall(t *testing.T) {
	way, name, ok := strings.Cut(os.Getenv(stallEnv), "|")
	if !ok {
		t.Skip("not a test: wantOthersGoOn runs it in a process of its own")
	}
	runtime.GOMAXPROCS(1)
	counter := os.NewFile(3, "counter")
	read := stallWays[way](t, name)
	go func() {
		for n := uint64(1); ; n++ {
			_, _ = counter.WriteAt(binary.NativeEndian.AppendUint64(nil, n), 0)
		}
	}()
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))
	must(t, read())
}
