package adapters_test

import (
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// aferoFile is the File of github.com/spf13/afero, billyFile that of
// github.com/go-git/go-billy/v5.
type aferoFile interface {
	io.ReadWriteSeeker
	io.Closer
	io.ReaderAt
	io.WriterAt
	Name() string
	Readdir(count int) ([]os.FileInfo, error)
	Readdirnames(n int) ([]string, error)
	Stat() (os.FileInfo, error)
	Sync() error
	Truncate(size int64) error
	WriteString(s string) (int, error)
}

type billyFile interface {
	unlockedFile
	Lock() error
	Unlock() error
}

type unlockedFile interface {
	io.ReadWriteSeeker
	io.Closer
	io.ReaderAt
	Name() string
	Truncate(size int64) error
}

var (
	_ fs.File            = (*adapters.Reader)(nil)
	_ io.ReadSeekCloser  = (*adapters.Reader)(nil)
	_ multipart.File     = (*adapters.Reader)(nil)
	_ http.File          = (*adapters.Reader)(nil)
	_ fs.File            = (*adapters.File)(nil)
	_ io.ReadSeekCloser  = (*adapters.File)(nil)
	_ io.ReadWriteSeeker = (*adapters.File)(nil)
	_ multipart.File     = (*adapters.File)(nil)
	_ http.File          = (*adapters.File)(nil)
	_ aferoFile          = (*adapters.File)(nil)
	_ billyFile          = lockingFile{}
)

// lockingFile is a File and a lock.
type lockingFile struct{ *adapters.File }

func (lockingFile) Lock() error   { return nil }
func (lockingFile) Unlock() error { return nil }

// rows are the rows of the table in doc.go: which types implement all of these.
var rows = []struct {
	name string
	all  []reflect.Type
}{
	{"io.ReadSeeker, WriterTo", types[io.ReadSeeker, io.WriterTo]()},
	{"io.ReaderAt", types[io.ReaderAt, io.ReaderAt]()},
	{"io.ByteScanner, RuneScanner", types[io.ByteScanner, io.RuneScanner]()},
	{"io.StringWriter, ReaderFrom", types[io.StringWriter, io.ReaderFrom]()},
	{"io.WriterAt", types[io.WriterAt, io.WriterAt]()},
	{"Name, Stat, Close", types[interface{ Name() string }, interface {
		io.Closer
		Stat() (fs.FileInfo, error)
	}]()},
	{"fs.File", types[fs.File, fs.File]()},
	{"fs.ReadDirFile", types[fs.ReadDirFile, fs.ReadDirFile]()},
	{"io.ReadSeekCloser, multipart.File", types[io.ReadSeekCloser, multipart.File]()},
	{"http.File", types[http.File, http.File]()},
	{"afero.File", types[aferoFile, aferoFile]()},
	{"billy.File, less Lock and Unlock", types[unlockedFile, unlockedFile]()},
	{"Chmod", types[interface{ Chmod(mode fs.FileMode) error }, any]()},
	{"Fd, SyscallConn, SetDeadline", types[interface {
		syscall.Conn
		Fd() uintptr
		SetDeadline(t time.Time) error
	}, any]()},
	{"adapters.Source", types[adapters.Source, adapters.Source]()},
}

func types[A, B any]() []reflect.Type {
	return []reflect.Type{reflect.TypeFor[A](), reflect.TypeFor[B]()}
}

// The table in the documentation of the package says which type implements which interface.
//
//promise:adapters the table of interfaces in the documentation is true
func TestInterfaces(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	put(t, dir, "f", []byte("text"))
	fsys := newFS(t, dir, snapshot.Config{})
	file, err := fsys.Open("f")
	supported(t, err)
	defer file.Close()
	tree, err := fsys.Open(".")
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	for _, row := range rows {
		var line strings.Builder
		_, _ = fmt.Fprintf(&line, "//\t%-35s", row.name)
		for _, v := range []any{
			(*os.File)(nil), (*snapshot.Mmap)(nil), (*snapshot.MmapMut)(nil),
			(*adapters.Reader)(nil), (*adapters.File)(nil), file, tree,
		} {
			mark := "x"
			for _, is := range row.all {
				if !reflect.TypeOf(v).Implements(is) {
					mark = "-"
				}
			}
			_, _ = fmt.Fprintf(&line, "%-8s", mark)
		}
		if want := strings.TrimRight(line.String(), " ") + "\n"; !strings.Contains(string(text), want) {
			t.Errorf("doc.go lacks %s", want)
		}
	}
}
