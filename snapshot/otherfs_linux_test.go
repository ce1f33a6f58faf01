package snapshot_test

import (
	"context"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// On each filesystem that can be mounted here, a file is opened with the bytes that os.ReadFile
// reads.
//
//promise:snapshot.Config.Open files of any filesystem have the bytes that os.ReadFile reads
//promise:snapshot.Config.FromFile files of any filesystem have the bytes that os.ReadFile reads
func TestOtherFilesystems(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	for kind, prepare := range map[string]func(t *testing.T) (name string){
		"squashfs": func(t *testing.T) string {
			return imageOf(t, "squashfs", "mksquashfs", "$dir", "$image", "-quiet")
		},
		"erofs": func(t *testing.T) string {
			return imageOf(t, "erofs", "mkfs.erofs", "$image", "$dir")
		},
		"ramfs": func(t *testing.T) string {
			name := join(mounted(t, "ramfs", "ramfs", ""), "f")
			write(t, name, noise(1, 200_000))
			return name
		},
		"hugetlbfs": func(t *testing.T) string {
			dir := mounted(t, "hugetlbfs", "hugetlbfs", "")
			var st unix.Statfs_t
			must(t, unix.Statfs(dir, &st)) // whose block is a huge page
			name := join(dir, "f")
			f, err := os.Create(name)
			must(t, err)
			must(t, f.Truncate(int64(st.Bsize))) // there is no write
			must(t, f.Close())
			return name
		},
		"sysfs": func(t *testing.T) string { return "/sys/kernel/notes" },
		"overlayfs": func(t *testing.T) string {
			return join(newOverlay(t, onDisk, mounttest.Memory).merged, "lower")
		},
		"bind": func(t *testing.T) string {
			dir := mounttest.Dir(t, onDisk)
			write(t, join(dir, "f"), noise(1, 200_000))
			return join(mounted(t, dir, "", ""), "f")
		},
	} {
		t.Run(kind, func(t *testing.T) {
			mounttest.Leaks(t)
			name := prepare(t)
			want, err := os.ReadFile(name)
			if err != nil {
				t.Skip(err)
			}
			wantContents(t, open(t, name), want)
			wantContents(t, fromFile(t, openFile(t, name, os.O_RDONLY)), want)
			c := snapshot.Config{TempDir: mounttest.Dir(t, mounttest.Memory)}
			m, err := c.Open(context.Background(), name)
			must(t, err)
			wantContents(t, m, want)
			must(t, m.Close())
		})
	}
}
