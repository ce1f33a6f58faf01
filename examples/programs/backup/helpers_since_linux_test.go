package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// A chain is a source of large files, and copies of it, each of which begins with the one before.
type chain struct {
	source, keep string
	copies       string // the directory of the copies
	n            int
}

func newChain(t *testing.T, from, to string) *chain {
	t.Helper()
	c := &chain{filepath.Join(from, "source"), filepath.Join(from, "keep"), to, 0}
	must(t, os.Mkdir(c.source, 0o755))
	return c
}

func (c *chain) copied(i int) string { return filepath.Join(c.copies, fmt.Sprint("copy", i)) }

func (c *chain) args() []string {
	args := []string{"-keep", c.keep}
	if c.n > 0 {
		args = append(args, "-since", c.copied(c.n-1))
	}
	return append(args, c.source, c.copied(c.n))
}

// next makes the next copy, and checks that it is right.
func (c *chain) next(t *testing.T, out, errs string) programtest.Result {
	t.Helper()
	r := programtest.Call(t, run, c.args()...)
	r.Want(t, 0, out, errs)
	for _, name := range mounttest.NamesIn(t, c.source) {
		must(t, sameFiles(filepath.Join(c.copied(c.n), treeName, name), filepath.Join(c.source, name)))
	}
	c.verify(t, c.n)
	c.n++
	return r
}

func (c *chain) verify(t *testing.T, i int) {
	t.Helper()
	programtest.Call(t, run, "-verify", c.copied(i)).Want(t, 0, "as in the manifest", "")
}

// newSmallChain makes a chain with one copy of one large file, onto a filesystem without reflinks.
func newSmallChain(t *testing.T) (c *chain, name string) {
	t.Helper()
	c = newChain(t, mounttest.Dir(t, mounttest.Reflinks), mounttest.Dir(t, mounttest.Memory))
	name = programtest.Put(t, c.source, "f", string(randomBytes(1, editedSize)))
	c.next(t, "1 state kept", "")
	return c, name
}

// eachPair calls f with a directory on each filesystem with reflinks, and one on a filesystem that
// has reflinks, or has none.
func eachPair(t *testing.T, f func(t *testing.T, from, to string)) {
	for _, from := range mounttest.Kinds(mounttest.Reflinks) {
		for _, to := range []mounttest.Property{mounttest.Reflinks, mounttest.Disk | mounttest.NoReflinks} {
			name := "reflinks"
			if to != mounttest.Reflinks {
				name = "no reflinks"
			}
			t.Run(from.String()+" to "+name, func(t *testing.T) {
				mounttest.Leaks(t)
				dir := mounttest.Dir(t, to)
				if to == mounttest.Reflinks {
					dir = mounttest.Fresh(t, to, 512<<20) // another one than from
				}
				f(t, from.Dir(t), dir)
			})
		}
	}
}

func randomBytes(seed byte, n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

const editedSize = 3 << 20

// edits change a file of about editedSize bytes, each in another way.
var edits = []struct {
	name string
	edit func(name string, r *rand.Rand) error
}{
	{"write", func(name string, r *rand.Rand) error {
		return withFile(name, func(f *os.File, size int64) error {
			_, err := f.WriteAt(randomBytes(byte(r.Int()), 1+r.IntN(10_000)), r.Int64N(size))
			return err
		})
	}},
	{"hole", func(name string, r *rand.Rand) error {
		return withFile(name, func(f *os.File, size int64) error {
			return punchHole(f, r.Int64N(size), 1+r.Int64N(600_000))
		})
	}},
	{"truncate", func(name string, r *rand.Rand) error {
		return withFile(name, func(f *os.File, size int64) error {
			return f.Truncate(max(2*keptFrom, size-r.Int64N(400_000)))
		})
	}},
	{"truncate and grow", func(name string, r *rand.Rand) error {
		return withFile(name, func(f *os.File, size int64) error {
			return firstError(f.Truncate(size-r.Int64N(400_000)), f.Truncate(size+r.Int64N(400_000)))
		})
	}},
	{"append", func(name string, r *rand.Rand) error {
		return withFile(name, func(f *os.File, size int64) error {
			_, err := f.WriteAt(randomBytes(byte(r.Int()), 1+r.IntN(300_000)), size)
			return err
		})
	}},
	{"replace", func(name string, r *rand.Rand) error {
		temp := filepath.Join(filepath.Dir(filepath.Dir(name)), "new") // outside of the source
		return firstError(
			os.WriteFile(temp, randomBytes(byte(r.Int()), editedSize+r.IntN(5)), 0o600),
			os.Rename(temp, name),
		)
	}},
	{"store", func(name string, r *rand.Rand) error {
		return withFile(name, func(f *os.File, size int64) error {
			mem, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			if err != nil {
				return err
			}
			mem[r.Int64N(size)] ^= 1
			return unix.Munmap(mem)
		})
	}},
	{"zeros", func(name string, r *rand.Rand) error {
		return withFile(name, func(f *os.File, size int64) error {
			_, err := f.WriteAt(make([]byte, r.IntN(200_000)), r.Int64N(size))
			return err
		})
	}},
	{"compressible", func(name string, r *rand.Rand) error {
		return withFile(name, func(f *os.File, size int64) error {
			_, err := f.WriteAt(bytes.Repeat([]byte{'a' + byte(r.IntN(9))}, 150_000), r.Int64N(size))
			return err
		})
	}},
	{"nothing", func(string, *rand.Rand) error { return nil }},
}

func withFile(name string, f func(f *os.File, size int64) error) error {
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	fi, err := file.Stat()
	if err == nil {
		err = f(file, fi.Size())
	}
	return firstError(err, file.Close())
}

// sameFiles returns an error if two sparse files differ where one of them has data.
func sameFiles(a, b string) error {
	return withFile(a, func(f *os.File, size int64) error {
		return withFile(b, func(g *os.File, other int64) error {
			if size != other {
				return fmt.Errorf("%d bytes and %d", size, other)
			}
			p, q := make([]byte, 64<<10), make([]byte, 64<<10)
			for off := int64(0); off < size; off += int64(len(p)) {
				next := size
				for _, file := range []*os.File{f, g} {
					if data, err := unix.Seek(int(file.Fd()), off, unix.SEEK_DATA); err == nil {
						next = min(next, data)
					}
				}
				if off = max(off, next&^int64(len(p)-1)); off >= size {
					break
				}
				n, _ := f.ReadAt(p, off)
				m, _ := g.ReadAt(q, off)
				if n != m || string(p[:n]) != string(q[:m]) {
					return fmt.Errorf("%s and %s differ at %d", a, b, off)
				}
			}
			return nil
		})
	})
}
