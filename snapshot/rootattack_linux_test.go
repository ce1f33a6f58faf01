package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var (
	inside  = bytes.Repeat([]byte("inside "), 100)
	outside = bytes.Repeat([]byte("outside"), 100)
)

// newSwappedRoot makes root/d/f, and root/link that leads to the directory outside with another f.
func newSwappedRoot(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(join(dir, "root/d"), 0o755))
	must(t, os.Mkdir(join(dir, "outside"), 0o755))
	write(t, join(dir, "root/d/f"), inside)
	write(t, join(dir, "outside/f"), outside)
	must(t, os.Symlink("../outside", join(dir, "root/link")))
	must(t, os.Symlink("d/f", join(dir, "root/tofile")))
	must(t, os.Symlink("../d/f", join(dir, "root/d/up")))
}

// While a directory and a symbolic link that leads out are exchanged, no byte from outside is read.
// The control opens the same file by its plain name.
//
//promise:snapshot.Config.Root beside renames of directories, nothing outside Root is read
func TestRootReadBesideExchange(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		withAndWithoutOpenat2(t, dir, func(t *testing.T, dir string) {
			newSwappedRoot(t, dir)
			c := snapshot.Config{Root: openRoot(t, join(dir, "root"))}
			plain := join(dir, "root/d/f")
			exchanges := exchange(t, join(dir, "root/d"), join(dir, "root/link"))
			tries := int64(mounttest.Count(2000, 10_000, 500_000))
			var read, escaped, control int64
			enough := func() bool {
				return exchanges.Load() >= tries/10 && min(read, escaped, control) >= tries/50
			}
			for i := int64(0); i < tries || !enough() && !t.Failed(); i++ {
				name := []string{"d/f", "d/../d/f", "tofile", "d/up"}[i%4]
				m, err := c.Open(context.Background(), name)
				switch {
				case err == nil:
					got := make([]byte, len(inside))
					if _, err := m.ReadAt(got, 0); err != nil || !bytes.Equal(got, inside) {
						t.Fatalf("%s: read %.20q, %v", name, got, err)
					}
					must(t, m.Close())
					read++
				case isEscape(err):
					escaped++
				case name == "d/up" && errors.Is(err, fs.ErrNotExist): // outside/up
				default:
					t.Fatalf("%s: %v", name, err)
				}
				if data, err := os.ReadFile(plain); err == nil && bytes.Equal(data, outside) {
					control++
				}
			}
			t.Logf("%d exchanges, %d read, %d refused; by plain name %d escapes",
				exchanges.Load(), read, escaped, control)
		})
	})
}

// While a directory and a symbolic link that leads out are exchanged, nothing is written outside.
//
//promise:snapshot.Config.Root beside renames of directories, nothing outside Root is written
func TestRootWriteBesideExchange(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		withAndWithoutOpenat2(t, dir, func(t *testing.T, dir string) {
			newSwappedRoot(t, dir)
			write(t, join(dir, "root/base"), inside)
			root := openRoot(t, join(dir, "root"))
			c := snapshot.Config{Root: root, NoSync: true}
			m, err := c.OpenMut(context.Background(), "base")
			must(t, err)
			defer m.Close()
			happened := watch(t, join(dir, "outside"))
			exchanges := exchange(t, join(dir, "root/d"), join(dir, "root/link"))
			tries := int64(mounttest.Count(50, 1000, 20_000))
			done, escaped := map[string]int64{}, int64(0)
			enough := func() bool {
				least := escaped
				for _, call := range rootCalls {
					least = min(least, done[call.name])
				}
				return exchanges.Load() >= tries/10 && least >= tries/50
			}
			for i := int64(0); i < tries || !enough() && !t.Failed(); i++ {
				call := rootCalls[i%int64(len(rootCalls))]
				name := []string{"d/f", "d/../d/f", "tofile"}[i%3]
				if call.name == "Link" {
					name = fmt.Sprintf("d/linked%d", i)
				}
				switch err := call.do(c, m, name); {
				case err == nil:
					done[call.name]++
				case isEscape(err):
					escaped++
				case errors.Is(err, syscall.EEXIST):
				default:
					t.Fatalf("%s %s: %v", call.name, name, err)
				}
			}
			if events := happened(); events != "" {
				t.Errorf("outside: %q", events)
			}
			wantNames(t, join(dir, "outside"), "f")
			wantFile(t, join(dir, "outside/f"), outside)
			t.Logf("%d exchanges, done %v, %d refused", exchanges.Load(), done, escaped)
		})
	})
}

// The control of TestRootWriteBesideExchange: by plain names, something is written outside.
func TestPlainWriteBesideExchange(t *testing.T) {
	dir := mounttest.Dir(t, mounttest.Memory)
	newSwappedRoot(t, dir)
	happened := watch(t, join(dir, "outside"))
	exchange(t, join(dir, "root/d"), join(dir, "root/link"))
	for happened() == "" && !t.Failed() {
		m, err := snapshot.Config{NoSync: true}.Create(context.Background(), join(dir, "root/d/f"))
		if err != nil {
			continue
		}
		_ = m.Commit()
		must(t, m.Close())
	}
}
