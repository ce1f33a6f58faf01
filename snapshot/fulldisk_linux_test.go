package snapshot_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// wantReadWhenFull opens the file name, on a filesystem that is full, with and without
// Config.TempDir, and as a file that is open. The copy is never in the default TempDir.
func wantReadWhenFull(t *testing.T, name string, data []byte) {
	t.Helper()
	normal := mounttest.Dir(t, mounttest.Memory)
	t.Setenv("TMPDIR", normal)
	temp := mounttest.Dir(t, mounttest.Memory)
	f := openFile(t, name, os.O_RDONLY)
	for _, c := range []snapshot.Config{{}, {TempDir: temp}} {
		for what, open := range map[string]func() (*snapshot.Mmap, error){
			"Open":     func() (*snapshot.Mmap, error) { return c.Open(context.Background(), name) },
			"FromFile": func() (*snapshot.Mmap, error) { return c.FromFile(context.Background(), f) },
		} {
			m, err := open()
			if err != nil {
				t.Errorf("%s with TempDir %q: %v", what, c.TempDir, err)
				continue
			}
			if placeOf(t, m, normal) == temporary {
				t.Errorf("%s with TempDir %q: the copy lies in the default TempDir", what, c.TempDir)
			}
			if c.TempDir != "" && placeOf(t, m, temp) == inMemory {
				t.Errorf("%s with TempDir %q: the copy lies in memory", what, c.TempDir)
			}
			wantContents(t, m, data)
			must(t, m.Close())
		}
	}
}

// A file on a filesystem that is full can be read. If its copy is too large for memory and there is
// no other place, the error is ENOSPC.
//
//promise:snapshot.Config.Open a file on a full filesystem is read, from memory or Config.TempDir
//promise:snapshot.Config.FromFile a file on a full filesystem is read, from memory or TempDir
func TestReadOnFullDisk(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	onSmallDisks(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, large, data := join(dir, "f"), join(dir, "large"), noise(1, 200_000)
		write(t, name, data)
		write(t, large, data)
		must(t, os.Truncate(large, 64<<20+1))
		must(t, syncfs(dir))
		fill(t, join(dir, "filler"))
		wantReadWhenFull(t, name, data)
		m, err := snapshot.Open(large)
		if err == nil { // a reflink that found room
			must(t, m.Close())
		} else if !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
	})
}

// A file on a filesystem without a free inode can be read.
//
//promise:snapshot.Config.Open a file on a filesystem without a free inode is read
func TestReadWithoutInodes(t *testing.T) {
	mounttest.Need(t, "CAP_SYS_ADMIN")
	onSmallDisks(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name, data := join(dir, "f"), noise(1, 200_000)
		write(t, name, data)
		leaveInodes(t, dir, 0)
		if err := os.WriteFile(join(dir, "one more"), nil, 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("one more file: %v", err)
		}
		wantReadWhenFull(t, name, data)
	})
}

// A file in a subvolume whose quota is used up can be read.
//
//promise:snapshot.Config.Open a file whose quota is used up is read
func TestReadBeyondQuota(t *testing.T) {
	mounttest.Leaks(t)
	dir := mounttest.Fresh(t, mounttest.Subvolumes, 128<<20)
	sub := join(dir, "sub")
	name, data := join(sub, "f"), noise(1, 200_000)
	for _, args := range [][]string{
		{"quota", "enable", dir}, {"subvolume", "create", sub}, {"qgroup", "limit", "4M", sub},
	} {
		if out, err := exec.Command("btrfs", args...).CombinedOutput(); err != nil {
			t.Fatalf("btrfs %v: %v\n%s", args, err, out)
		}
	}
	write(t, name, data)
	must(t, syncfs(dir))
	f, err := os.Create(join(sub, "filler"))
	must(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(noise(2, 1<<16))
	}
	if !errors.Is(err, syscall.EDQUOT) {
		t.Fatal(err)
	}
	must(t, syncfs(dir))
	wantReadWhenFull(t, name, data)
}

// If RLIMIT_FSIZE is less than the size of a file, the file cannot be opened, because the copy is a
// file of that size.
//
//promise:snapshot a file that is larger than RLIMIT_FSIZE is EFBIG, also to read it
func TestReadBeyondFileSizeLimit(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := join(dir, "f")
		write(t, name, noise(1, 200_000))
		undo := limitFileSize(t, 150_000)
		_, err := snapshot.Open(name)
		undo()
		wantError(t, err, syscall.EFBIG, "open "+name+": ftruncate: file too large")
		wantNames(t, dir, "f")
	})
}
