package consumers

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/helper/chroot"
	"github.com/go-git/go-billy/v5/osfs"
	billytest "github.com/go-git/go-billy/v5/test"
	"gopkg.in/check.v1"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// billyFS is go-billy's filesystem of package os with the files of package adapters.
type billyFS struct{ osfs.ChrootOS }

func (f *billyFS) Create(name string) (billy.File, error) {
	return f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

func (f *billyFS) Open(name string) (billy.File, error) { return f.OpenFile(name, os.O_RDONLY, 0) }

func (f *billyFS) OpenFile(name string, flag int, perm fs.FileMode) (billy.File, error) {
	if flag&os.O_CREATE != 0 {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return nil, err
		}
	}
	file, err := openFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &billyFile{osLike: file}, nil
}

func (f *billyFS) TempFile(dir, prefix string) (billy.File, error) {
	name := filepath.Join(dir, fmt.Sprint(prefix, rand.Uint64()))
	return f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// billyFile adds the locks, which are a matter of one process here.
type billyFile struct {
	osLike
	mu sync.Mutex
}

func (f *billyFile) Lock() error   { f.mu.Lock(); return nil }
func (f *billyFile) Unlock() error { f.mu.Unlock(); return nil }

// TestBilly runs the suite that go-billy exports for filesystems. It leaves out the two tests with
// Many in their names, which make 102,400 temporary files each: each costs an fsync.
func TestBilly(t *testing.T) {
	mounttest.EachOf(t, mounttest.Disk, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		passed := 0
		for i := range reflect.TypeFor[*billytest.FilesystemSuite]().NumMethod() {
			name := reflect.TypeFor[*billytest.FilesystemSuite]().Method(i).Name
			if !strings.HasPrefix(name, "Test") || strings.Contains(name, "Many") {
				continue
			}
			root := filepath.Join(dir, name)
			must(t, os.Mkdir(root, 0o755))
			suite := billytest.NewFilesystemSuite(chroot.New(&billyFS{}, root))
			filter := `^FilesystemSuite\.` + name + "$"
			result := check.Run(&suite, &check.RunConf{Filter: filter})
			if result.Failed > 0 || result.RunError != nil || result.Succeeded+result.Skipped != 1 {
				t.Errorf("%s: %v", name, result)
			}
			passed += result.Succeeded
		}
		if passed < 90 {
			t.Errorf("%d tests passed", passed)
		}
	})
}
