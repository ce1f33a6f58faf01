package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// bytesRead returns how many bytes of snapshots were read where only changes were copied.
func bytesRead(t *testing.T, r programtest.Result) int {
	t.Helper()
	found := regexp.MustCompile(`by copy of the changes, (\d+) bytes? read`).FindStringSubmatch(r.Out)
	if found == nil {
		t.Fatalf("nothing copied by changes: %+v", r)
	}
	n, err := strconv.Atoi(found[1])
	must(t, err)
	return n
}

func bytesFree(t *testing.T, dir string) int64 {
	t.Helper()
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	return int64(st.Bfree) * int64(st.Bsize) //nolint:unconvert // int32 on some architectures
}

// Copies of the changes are byte for byte the source, after edits of all kinds; the copies before stay
// as they are; and one state of each file is kept.
func TestSince(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to string) {
		c := newChain(t, from, to)
		r := rand.New(rand.NewPCG(1, 2))
		names := make([]string, 3)
		for i := range names {
			names[i] = programtest.Put(t, c.source, fmt.Sprint(i), "")
			must(t, withFile(names[i], func(f *os.File, _ int64) error {
				switch i { // where the filesystem is btrfs
				case 1:
					_ = syscalls.SetNoCOW(int(f.Fd()), true)
				case 2:
					_ = unix.Fsetxattr(int(f.Fd()), "btrfs.compression", []byte("zstd"), 0)
				}
				_, err := f.Write(randomBytes(byte(i), editedSize))
				return err
			}))
		}
		programtest.Put(t, c.source, "small", "small")
		must(t, os.Truncate(programtest.Put(t, c.source, "sparse", "begin"), 4<<20))
		c.next(t, "; 4 by copy of a reflink; ", "")
		for range mounttest.Count(5, 25, 1000) {
			kinds := ""
			for _, name := range names {
				for range 1 + r.IntN(3) {
					e := edits[r.IntN(len(edits))]
					kinds += " " + e.name
					must(t, e.edit(name, r))
				}
			}
			c.next(t, "; 4 by copy of the changes, ", "")
			if t.Failed() {
				t.Fatal("after" + kinds)
			}
			c.verify(t, c.n-2)
			must(t, os.RemoveAll(c.copied(c.n-2)))
			states := mounttest.NamesIn(t, c.keep)
			if len(states) != 1 || len(mounttest.NamesIn(t, filepath.Join(c.keep, states[0]))) != 4 {
				t.Fatalf("kept in %q", states)
			}
		}
	})
}

// Of a large image, the blocks in which something changed are read, and on a filesystem with reflinks
// nothing else takes room.
//
// The first copy hashes the image, which takes most of the time of the test.
func TestSinceReadsChanges(t *testing.T) {
	size, pages := int64(mounttest.Count(256, 1<<10, 10<<10))<<20, mounttest.Count(100, 1000, 1000)
	from, to := mounttest.Dir(t, mounttest.Reflinks), mounttest.Fresh(t, mounttest.Reflinks, 512<<20)
	mounttest.Leaks(t)
	c := newChain(t, from, to)
	const data = 16 << 20
	name := programtest.Put(t, c.source, "image", string(randomBytes(0, data)))
	must(t, os.Truncate(name, size))
	programtest.Call(t, run, c.args()...).Want(t, 0, "; 1 by copy of a reflink; ", "")
	c.n++
	r := rand.New(rand.NewPCG(3, 4))
	touched := map[int64]bool{}
	must(t, withFile(name, func(f *os.File, size int64) error {
		for i := range pages {
			at := r.Int64N(size>>12) << 12
			touched[at/hashedBlock] = true
			if _, err := f.WriteAt(randomBytes(byte(i), 4<<10), at); err != nil {
				return err
			}
		}
		return nil
	}))
	free := bytesFree(t, to)
	second := programtest.Call(t, run, c.args()...)
	second.Want(t, 0, "; 1 by copy of the changes, ", "")
	// Each changed page is read once to be written, and its block once to be hashed. The filesystem
	// may have allocated twice as much as was written.
	n, least := bytesRead(t, second), pages<<12*9/10+len(touched)*hashedBlock
	if n < least || n > 2*least {
		t.Errorf("%d bytes read, %d expected", n, least)
	}
	if used := free - bytesFree(t, to); used > data/2 {
		t.Errorf("a copy of %d pages takes %d bytes", pages, used)
	}
	c.n++
	third := programtest.Call(t, run, c.args()...)
	third.Want(t, 0, "; 1 by copy of the changes, 0 bytes read", "")
	c.verify(t, 2)
	must(t, sameFiles(name, filepath.Join(c.copied(2), treeName, "image")))
}

// An interrupt, or a full disk, leaves the previous copy and its states as they are, and no other
// state; and the next copy is right.
func TestSinceGivenUp(t *testing.T) {
	from, to := mounttest.Dir(t, mounttest.Reflinks), mounttest.Fresh(t, mounttest.Memory, 16<<20)
	mounttest.Leaks(t)
	c := newChain(t, from, to)
	name := programtest.Put(t, c.source, "f", string(randomBytes(1, editedSize)))
	c.next(t, "1 state kept", "")
	kept := mounttest.NamesIn(t, c.keep)
	check := func(what string) {
		t.Helper()
		mounttest.WantNames(t, c.keep, kept...)
		mounttest.WantNames(t, c.copies, "copy0")
		c.verify(t, 0)
		if t.Failed() {
			t.Fatal(what)
		}
	}
	must(t, edits[0].edit(name, rand.New(rand.NewPCG(5, 6))))
	fill := programtest.Put(t, to, "fill", string(make([]byte, 11<<20)))
	programtest.Call(t, run, c.args()...).Want(t, 1, "", "no space left")
	must(t, os.Remove(fill))
	check("full disk")

	must(t, syscall.Mkfifo(filepath.Join(c.source, "fifo"), 0o666)) // is reported
	ctx, cancel := context.WithCancelCause(t.Context())
	var errs strings.Builder
	said := writerFunc(func(p []byte) (int, error) {
		cancel(fmt.Errorf("interrupted"))
		return errs.Write(p)
	})
	if status := program.Call(ctx, "backup", run, c.args(), program.Std{Err: said}); status != 1 {
		t.Errorf("status %d, %q", status, &errs)
	}
	must(t, os.Remove(filepath.Join(c.source, "fifo")))
	check("interrupt")
	c.next(t, "; 1 by copy of the changes, ", "")
}
