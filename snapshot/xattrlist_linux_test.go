package snapshot_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A server of FUSE that does not know extended attributes can answer EIO (rclone mount).
//
//promise:snapshot.MmapMut.Commit attributes that cannot be listed are an error, which says so
//promise:snapshot.Config.Create a new file needs no list of extended attributes
func TestAttributesCannotBeListed(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, []byte("old"))
		fail := func(int) ([]string, error) {
			return nil, os.NewSyscallError("flistxattr", syscall.EIO)
		}
		replace(t, &sys.Flistxattr, fail, func() {
			m, err := snapshot.OpenMut(name)
			if err == nil {
				defer m.Close()
				_, err = m.WriteAt([]byte("new"), 0)
				must(t, err)
				err = m.Commit()
			}
			const reason = "extended attributes cannot be read: flistxattr: input/output error"
			if err == nil || !strings.Contains(err.Error(), reason) {
				t.Errorf("error %v, want %q", err, reason)
			}
			if got, err := os.ReadFile(name); string(got) != "old" || err != nil {
				t.Errorf("the file has %q", got)
			}
			created, err := snapshot.Create(name + ".new")
			must(t, err)
			defer created.Close()
			_, err = created.WriteGrow([]byte("anew"), 0)
			must(t, err)
			must(t, created.Commit())
		})
		if got, err := os.ReadFile(name + ".new"); string(got) != "anew" || err != nil {
			t.Errorf("the file has %q", got)
		}
	})
}
