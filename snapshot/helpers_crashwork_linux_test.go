package snapshot_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// The crash tests have a child process commit one generation of a file after the other until
// it, or the filesystem under it, dies at some random instant. Then there must be one
// generation, whole, and none older than the last one that the child had acknowledged.

// A crashWork is what the child is told to do.
type crashWork struct {
	Dir   string
	Way   string        // one of crashWays, or wayInPlace
	Skip  string        // the fsync to be left out: "data" or "names"; "" for none
	Exit  time.Duration // after the first generation, until os.Exit; 0 for never
	Die   string        // the call of the kernel before which, in generation 2, kill -9 comes
	Delay time.Duration // of that kill, so that it comes within the call
}

const (
	wayCommit   = "Commit"
	wayClose    = "CommitAndClose" // and opened again
	wayCommitTo = "CommitTo"       // always the same other name
	wayLink     = "Link"           // a new name each time, the one before removed
	wayReadLink = "ReadLink"       // the same, of a Mmap
	wayNamed    = "CommitNamed"    // where there is no O_TMPFILE
	wayInPlace  = "InPlace"
)

// crashWays lists the ways to commit that keep the promise.
var crashWays = []string{wayCommit, wayClose, wayCommitTo, wayLink, wayReadLink, wayNamed}

// links reports whether the work is to make links.
func (w crashWork) links() bool { return w.Way == wayLink || w.Way == wayReadLink }

// What the file has besides its contents.
const crashMode = fs.FileMode(0o640)

// crashOwner is another user and group where a file can be given to them.
func crashOwner() (uid, gid int) {
	if mounttest.Can("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER") {
		return 1234, 5678
	}
	return os.Geteuid(), os.Getegid()
}

// crashExit is the exit code of a child told to exit.
const crashExit = 3

// crashEnv holds the crashWork of a child.
const crashEnv = "SNAPSHOT_CRASH_WORK"

// die is called ahead of every call of the kernel.
func (w crashWork) die(call string) error {
	kill := func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }
	if call == w.Die && w.Delay == 0 {
		kill()
	} else if call == w.Die {
		time.AfterFunc(w.Delay, kill)
	}
	return nil
}

// A committer commits generations in one way.
type committer struct {
	commit func(g int) error
	close  func() error
}

func (w crashWork) committer() (committer, error) {
	open := func() (*snapshot.MmapMut, error) {
		return snapshot.Config{InPlace: w.Way == wayInPlace}.OpenMut(context.Background(), w.file())
	}
	if w.Way == wayClose {
		return committer{func(g int) error {
			m, err := open()
			if err != nil {
				return err
			}
			return errors.Join(w.store(m, g), m.CommitAndClose())
		}, func() error { return nil }}, nil
	}
	if w.Way == wayReadLink {
		return committer{w.readAndLink, func() error { return nil }}, nil
	}
	m, err := open()
	if err != nil {
		return committer{}, err
	}
	return committer{func(g int) error {
		if err := w.store(m, g); err != nil {
			return err
		}
		switch w.Way {
		case wayCommitTo:
			return m.CommitTo(w.target())
		case wayLink:
			return m.Link(w.linkName(g))
		}
		return m.Commit()
	}, m.Close}, nil
}

// readAndLink gives a name to a Mmap of generation g. It writes the data to a file without a name
// and makes the snapshot of it.
func (w crashWork) readAndLink(g int) error {
	f, err := os.OpenFile(w.Dir, os.O_RDWR|unix.O_TMPFILE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(w.generation(g)); err != nil {
		return err
	}
	m, err := snapshot.Config{Perm: crashMode}.FromFile(context.Background(), f)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.Link(w.linkName(g))
}

// store makes m hold generation g; in place, only what differs from the one before.
func (w crashWork) store(m *snapshot.MmapMut, g int) error {
	data := w.generation(g)
	if err := m.Resize(int64(len(data))); err != nil {
		return err
	}
	if w.Way != wayInPlace {
		_, err := m.WriteAt(data, 0)
		return err
	}
	for page := range len(data) / crashPage {
		if w.stamp(g, page) != g {
			continue
		}
		if _, err := m.WriteAt(data[page*crashPage:][:crashPage], int64(page*crashPage)); err != nil {
			return err
		}
	}
	return nil
}

func (w crashWork) file() string          { return join(w.Dir, "f") }
func (w crashWork) target() string        { return join(w.Dir, "to") }
func (w crashWork) linkName(g int) string { return join(w.Dir, fmt.Sprint("link-", g)) }

const (
	crashPage = 4096

	// inPlaceSize makes an overwriting reflink long enough to be interrupted.
	inPlaceSize = 2 << 20
)

// generation returns the contents of generation g. Its length, and every eight bytes of it, say
// which it is, and the eight bytes where they belong.
func (w crashWork) generation(g int) []byte {
	size := inPlaceSize
	if w.Way != wayInPlace {
		size = 8 + g*7919%100_003
	}
	data := make([]byte, (size+7)/8*8)
	for i := 0; i < len(data); i += 8 {
		binary.LittleEndian.PutUint64(data[i:], uint64(uint32(w.stamp(g, i/crashPage)))<<32|uint64(i))
	}
	return data[:size]
}

// stamp returns the number that a page of generation g carries: g itself or, in place, where
// every other page is left alone so that each becomes an extent of its own, that of the one
// before.
func (w crashWork) stamp(g, page int) int {
	if w.Way == wayInPlace {
		return g - (g+page)&1
	}
	return g
}

// generationOf returns which generation data is, and false if it is none, or none in whole.
func (w crashWork) generationOf(data []byte) (g int, whole bool) {
	if len(data) < 8 {
		return 0, false
	}
	stamp := int(int32(binary.LittleEndian.Uint64(data) >> 32))
	for g := stamp; g <= stamp+1 && stamp >= -1; g++ {
		if g >= 0 && bytes.Equal(data, w.generation(g)) {
			return g, true
		}
	}
	return 0, false
}

// prepare makes generation 0, durably, where nothing is yet.
func (w crashWork) prepare(t testing.TB) {
	t.Helper()
	must(t, os.Mkdir(w.Dir, 0o777))
	must(t, os.WriteFile(w.file(), w.generation(0), 0o600))
	must(t, os.Chmod(w.file(), crashMode))
	uid, gid := crashOwner()
	must(t, os.Chown(w.file(), uid, gid))
	must(t, syncfs(w.Dir))
}
