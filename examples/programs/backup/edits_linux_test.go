package main

import (
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"golang.org/x/sys/unix"
)

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
			return f.Truncate(max(keptFrom, size-r.Int64N(400_000)))
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
		return programtest.Replace(name, string(randomBytes(byte(r.Int()), editedSize+r.IntN(5))))
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
