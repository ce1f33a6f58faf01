package snapshot_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// FuzzModel does with a MmapMut what it does with a []byte, and compares after every step.
func FuzzModel(f *testing.F) {
	f.Add([]byte("\x00\x10\x20\x30w\x01\x02\x03c\x00\x00\x00"))
	f.Add([]byte("r\xff\xff\x01w\x00\xf0\xffcr\x00\x10\x00r\xff\x00\x00c\x00\x00\x00e\x00\x00\x00w\x10\x10\x10e\x00\x00\x00"))
	f.Add([]byte("v\x05\x10\x00r\x01\x00\x00v\x00\x00\x00r\x80\x10\x02w\x40\x00\xffl\x00\x00\x00t\x00\x00\x00"))
	kinds := mounttest.Kinds(mounttest.Known)
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) == 0 || len(script) > 400 {
			return
		}
		dir := ""
		if i := int(script[0]) % (len(kinds) + 1); i < len(kinds) {
			dir = kinds[i].Dir(t)
		} else {
			dir = mounttest.Dir(t, mounttest.Host)
		}
		runModel(t, dir, script[1:])
	})
}

// TestModel runs the seeds of FuzzModel, and longer ones, on every filesystem.
//
//promise:snapshot.MmapMut a sequence of calls has the same results as on a []byte
func TestModel(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		for i := range mounttest.Count(3, 20, 3000) {
			runModel(t, dir, noise(uint64(i), 400))
		}
	})
}

func runModel(t *testing.T, dir string, script []byte) {
	name := join(dir, "f")
	model := noise(9, 10000)
	write(t, name, model)
	committed := bytes.Clone(model)
	m, err := snapshot.OpenMut(name)
	must(t, err)
	defer func() { must(t, m.Close()) }()
	views := 0  // that run
	around := 0 // of them, on the snapshot that is open now
	var step func(op, a, b, c byte)
	run := func() {
		for len(script) >= 4 {
			op, a, b, c := script[0], script[1], script[2], script[3]
			script = script[4:]
			step(op, a, b, c)
			if t.Failed() {
				return
			}
			if op%16 == 15 && views > 0 { // end of a View
				return
			}
		}
	}
	step = func(op, a, b, c byte) {
		off, n := int64(a)<<8|int64(b), int(b)<<8|int(c)
		switch op % 16 {
		default: // write
			p := noise(uint64(c), n)
			w, err := m.WriteAt(p, off)
			fit := min(n, max(0, len(model)-int(off)))
			if w != fit || (err != nil) != (fit < n) || err != nil && !errors.Is(err, io.ErrShortWrite) {
				t.Errorf("WriteAt(%d, %d): %d, %v; size %d", n, off, w, err, len(model))
			}
			copy(model[min(int(off), len(model)):], p)
		case 1, 2, 3: // resize
			size := off
			if op%16 == 3 {
				size <<= 3
			}
			err := m.Resize(size)
			if int(size) < len(model) && around > 0 {
				if !errors.Is(err, syscall.EBUSY) {
					t.Errorf("Resize to %d of %d bytes under a View: %v", size, len(model), err)
				}
				break
			}
			must(t, err)
			if int(size) <= len(model) {
				model = bytes.Clone(model[:size])
			} else {
				model = append(model, make([]byte, int(size)-len(model))...)
			}
		case 4, 5:
			must(t, m.Commit())
			committed = bytes.Clone(model)
		case 6: // and once more from the file
			must(t, m.CommitAndClose())
			committed = bytes.Clone(model)
			m, err = snapshot.OpenMut(name)
			must(t, err)
			around = 0
		case 7: // discard
			must(t, m.Close())
			model = bytes.Clone(committed)
			m, err = snapshot.OpenMut(name)
			must(t, err)
			around = 0
		case 8: // store through Bytes
			if p := m.Bytes(); len(p) > 0 {
				p[int(off)%len(p)] = c
				model[int(off)%len(p)] = c
			}
		case 9: // a View around what follows
			if views > 3 || len(model) == 0 {
				return
			}
			views++
			around++
			viewed := m
			must(t, m.View(0, -1, func(p []byte) error {
				p[int(off)%len(p)] = c
				model[int(off)%len(model)] = c
				run()
				_ = bytes.Clone(p) // still there
				return nil
			}))
			views--
			if viewed == m {
				around--
			}
		case 10:
			_ = os.Remove(name + ".link")
			must(t, m.Link(name+".link"))
			wantFile(t, name+".link", model)
		case 11, 12: // write, beyond the end, or at it
			at := int(off)
			if op%16 == 12 {
				at = len(model)
			}
			p := noise(uint64(c), n)
			if w, err := m.WriteGrow(p, int64(at)); w != n || err != nil {
				t.Errorf("WriteGrow(%d, %d): %d, %v", n, at, w, err)
			}
			if end := at + n; n > 0 && end > len(model) {
				model = append(slices.Clip(model), make([]byte, end-len(model))...)
			}
			copy(model[min(at, len(model)):], p)
		}
		if c%4 == 0 { // now and then, as it changes where the bytes are
			must(t, m.View(0, -1, func(p []byte) error { wantBytes(t, "View", p, model); return nil }))
		}
		p := make([]byte, len(model))
		at := int(c) * len(p) / 256
		_, err := m.ReadAt(p[:at], 0)
		must(t, err)
		_, err = m.ReadAt(p[at:], int64(at))
		must(t, err)
		wantBytes(t, "ReadAt", p, model)
		if op%16 == 0 {
			wantContents(t, m, model)
			wantFile(t, name, committed)
		}
	}
	run()
	for len(script) >= 4 {
		run()
	}
	wantFile(t, name, committed)
	_ = os.Remove(name + ".link")
	wantNames(t, dir, "f")
}
