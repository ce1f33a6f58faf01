package consumers

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/spf13/afero"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// aferoFS is afero's filesystem of package os with the files of package adapters.
type aferoFS struct{ afero.Fs }

func (aferoFS) Name() string { return "adapters" }

func (f aferoFS) Create(name string) (afero.File, error) {
	return f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

func (f aferoFS) Open(name string) (afero.File, error) { return f.OpenFile(name, os.O_RDONLY, 0) }

func (aferoFS) OpenFile(name string, flag int, perm fs.FileMode) (afero.File, error) {
	return openFile(name, flag, perm)
}

// A File is a file for afero without a shim.
var _ afero.File = (*adapters.File)(nil)

// Afero's functions do and say the same with the files of package adapters as with those of package
// os, on a filesystem below a directory and on layers of them.
func TestAfero(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		var said []string
		for i, base := range []afero.Fs{aferoFS{afero.NewOsFs()}, afero.NewOsFs()} {
			root := func(name string) afero.Fs {
				name = fmt.Sprintf("%s/%d/%s", dir, i, name)
				must(t, os.MkdirAll(name, 0o755))
				return afero.NewBasePathFs(base, name)
			}
			var b strings.Builder
			for _, fsys := range []afero.Fs{
				root("plain"),
				afero.NewCopyOnWriteFs(afero.NewReadOnlyFs(root("base")), root("layer")),
			} {
				b.WriteString(useAfero(t, afero.Afero{Fs: fsys}))
			}
			// It cannot write with those of package os, either.
			cached := afero.Afero{Fs: afero.NewCacheOnReadFs(root("plain"), root("cache"), 0)}
			for _, name := range []string{"d/written", "d/append", "d/written", "missing"} {
				content, err := cached.ReadFile(name)
				_, _ = fmt.Fprintf(&b, "%s: %x, %v\n", name, sha256.Sum256(content), err)
			}
			said = append(said, strings.ReplaceAll(b.String(), fmt.Sprintf("%s/%d", dir, i), "DIR"))
			must(t, fstest.TestFS(afero.NewIOFS(root("plain")), "d/append", "d/written"))
		}
		if said[0] != said[1] {
			t.Errorf("with adapters:\n%s\nwith os:\n%s", said[0], said[1])
		}
	})
}

// useAfero calls functions of afero one after the other and returns what they return.
func useAfero(t *testing.T, a afero.Afero) string {
	t.Helper()
	var b strings.Builder
	say := func(what string, values ...any) { _, _ = fmt.Fprintf(&b, "%s: %v\n", what, values) }
	must(t, a.WriteReader("d/e/reader", strings.NewReader(strings.Repeat("text ", 10_000))))
	say("SafeWriteReader", a.SafeWriteReader("d/e/reader", strings.NewReader("")))
	must(t, a.SafeWriteReader("d/safe", strings.NewReader("safe")))
	must(t, a.WriteFile("d/written", noise(100_000), 0o600))
	content, err := a.ReadFile("d/written")
	say("ReadFile", string(content) == string(noise(100_000)), err)
	for _, name := range []string{"d", "d/written", "missing", "d/written/below"} {
		exists, err := a.Exists(name)
		isDir, dirErr := a.DirExists(name)
		say("Exists "+name, exists, err, isDir, dirErr)
		_, err = a.Open(name + "/x")
		say("Open", os.IsNotExist(err), errors.Is(err, fs.ErrNotExist))
		_, err = a.OpenFile(name+"/x", os.O_RDWR, 0)
		say("OpenFile", os.IsNotExist(err), errors.Is(err, fs.ErrNotExist))
	}
	empty, err := a.IsEmpty("d/e")
	say("IsEmpty", empty, err)
	found, err := a.FileContainsAnyBytes("d/e/reader", [][]byte{[]byte("nowhere"), []byte("t text")})
	say("FileContainsAnyBytes", found, err)
	for _, text := range []string{"one", "two"} {
		f, err := a.OpenFile("d/append", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
		must(t, err)
		n, err := f.WriteString(text)
		say("WriteString", n, err)
		must(t, f.Close())
		info, err := a.Stat("d/append")
		must(t, err)
		say("Stat", info.Name(), info.Size(), info.Mode())
	}
	f, err := a.TempFile("d", "temporary*")
	must(t, err)
	_, err = f.WriteAt([]byte("at"), 5000)
	must(t, err)
	must(t, f.Truncate(5001))
	must(t, f.Close())
	content, err = a.ReadFile(f.Name())
	say("TempFile", len(content), strings.TrimLeft(string(content), "\x00"), err)
	must(t, a.Rename(f.Name(), "d/renamed"))
	_, err = a.OpenFile("d/renamed", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	say("O_EXCL", os.IsExist(err))
	say("Walk", a.Walk("", func(path string, info fs.FileInfo, err error) error {
		say(path, info.Size() > 0, info.Mode(), err)
		return err
	}))
	names, err := afero.Glob(a.Fs, "d/*e*")
	say("Glob", names, err)
	return b.String()
}
