package mounttest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func TestMain(m *testing.M) { mounttest.Main(m) }

//promise:mounttest.Each each kind is a subtest of its name, with an empty directory of mode 0755
//promise:mounttest.KindOf KindOf returns the kind of the filesystem below a path
//promise:mounttest.Kind.String String is the name of the type of the filesystem
func TestEach(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		kind := filepath.Base(t.Name())
		if got := mounttest.KindOf(dir).String(); kind != "host" && got != kind {
			t.Errorf("KindOf(%s) = %q, want %q", dir, got, kind)
		}
		names, err := os.ReadDir(dir)
		if err != nil || len(names) != 0 {
			t.Errorf("ReadDir(%s) = %v, %v, want nothing", dir, names, err)
		}
		if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o755 {
			t.Errorf("Stat(%s) = %v, %v, want mode 0755", dir, fi, err)
		}
		name := filepath.Join(dir, "file")
		if err := os.WriteFile(name, []byte("text"), 0o600); err != nil {
			t.Error(err)
		}
		// As far as the shared filesystems are promised to go.
		if err := os.Truncate(name, 10<<30); err != nil {
			t.Error(err)
		}
	})
}

//promise:mounttest.Dir the directory is removed with its contents when the test ends
func TestDirIsRemoved(t *testing.T) {
	var dir string
	t.Run("test", func(t *testing.T) {
		dir = mounttest.Dir(t, mounttest.Host)
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if dir == "" {
		return // skipped, with the reason
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat(%s) = %v after the test", dir, err)
	}
}

//promise:mounttest.Fresh the filesystem has the requested size
//promise:mounttest.Kind.Fresh the filesystem has the requested size
//promise:mounttest.Kind.Smallest Smallest is the size of a small Fresh
func TestFreshIsFull(t *testing.T) {
	for _, kind := range mounttest.Kinds(mounttest.Known) {
		t.Run(kind.String(), func(t *testing.T) {
			var dir string
			t.Run("fill", func(t *testing.T) {
				dir = kind.Fresh(t, 0)
				if got := mounttest.KindOf(dir); got != kind {
					t.Errorf("KindOf(%s) = %q", dir, got)
				}
				if names, err := os.ReadDir(dir); len(names) != 0 || err != nil {
					t.Errorf("a fresh filesystem has %v, %v", names, err)
				}
				n, err := fill(filepath.Join(dir, "file"))
				if !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("filled until %v, want ENOSPC", err)
				}
				if n > kind.Smallest() || n < kind.Smallest()/2 {
					t.Errorf("full at %d bytes, want about %d", n, kind.Smallest())
				}
			})
			if dir == "" {
				return // skipped, with the reason
			}
			if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("Stat(%s) = %v after the test", dir, err)
			}
		})
	}
}

// fill writes to a file until it cannot.
func fill(name string) (written int64, err error) {
	f, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	data := make([]byte, 1<<20)
	for {
		n, err := f.Write(data)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
}

//promise:mounttest.Count Count returns one of three values by MOUNTTEST_COUNT and panics at others
func TestCount(t *testing.T) {
	for _, test := range []struct {
		value string
		want  int
	}{{"", 1}, {"ci", 2}, {"long", 3}} {
		t.Setenv("MOUNTTEST_COUNT", test.value)
		if got := mounttest.Count(1, 2, 3); got != test.want {
			t.Errorf("MOUNTTEST_COUNT=%q: %d, want %d", test.value, got, test.want)
		}
	}
	t.Setenv("MOUNTTEST_COUNT", "looong")
	defer func() {
		if recover() == nil {
			t.Error("no panic for a value that means nothing")
		}
	}()
	mounttest.Count(1, 2, 3)
}

// Kinds returns the kinds that have the properties, in the order of the table. A variant of a kind
// has to be asked for.
//
//promise:mounttest.Kinds Kinds returns the kinds with the properties, variants on request alone
func TestKinds(t *testing.T) {
	for p, want := range map[mounttest.Property]string{
		0:                                      "[xfs btrfs ext4 tmpfs]",
		mounttest.Known:                        "[xfs btrfs ext4 tmpfs]",
		mounttest.Reflinks:                     "[xfs btrfs]",
		mounttest.Disk | mounttest.NoReflinks:  "[ext4]",
		mounttest.Memory:                       "[tmpfs]",
		mounttest.ReflinksOff:                  "[xfs]",
		mounttest.WholeSeconds:                 "[ext4]",
		mounttest.Host:                         "[]",
		mounttest.Memory | mounttest.Reflinks:  "[]",
		mounttest.Disk | mounttest.ReflinksOff: "[xfs]",
	} {
		if got := fmt.Sprint(mounttest.Kinds(p)); got != want {
			t.Errorf("%v: %s, want %s", p, got, want)
		}
	}
}

// String lists the names of all properties and of their opposites.
//
//promise:mounttest.Property.String String lists the names of all properties and opposites
func TestPropertyString(t *testing.T) {
	for p, want := range map[mounttest.Property]string{
		0:                                      "",
		mounttest.Known:                        "Known",
		mounttest.Disk | mounttest.NoReflinks:  "no Reflinks, Disk",
		mounttest.Memory | mounttest.Private:   "Private, no Disk",
		mounttest.ReflinksOff | mounttest.Host: "Host, ReflinksOff",
	} {
		if got := p.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
