package snapshot_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys/systest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

//promise:snapshot.Mmap.String String says name, size, how the copy was made, where it lies and why
//promise:snapshot.MmapMut.String String says name, size, how the copy was made, where it lies and why
//promise:snapshot.Mmap.String the text is one line of UTF-8, whatever the name and TempDir are
func TestString(t *testing.T) {
	mounttest.EachOf(t, mounttest.Known, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		t.Chdir(dir)
		const name = "a\n\x1b[31mb"
		temp := join(dir, "t\nmp")
		must(t, os.Mkdir(temp, 0o755))
		write(t, name, noise(1, 300_000))
		write(t, "small", noise(1, 100))
		how, why, elsewhereWhy := "reflink", "", "directory of the file: permission denied"
		if !reflinks(dir) {
			noClone := "ficlone: " + ficloneErrno(t, dir).Error()
			how, why, elsewhereWhy = "leased copy", " ("+noClone+")", elsewhereWhy+"; "+noClone
		}
		large := strconv.Quote(name) + ": 300000 bytes, " + how + " in the directory of the file" + why
		check := func(m fmt.Stringer, want string) {
			t.Helper()
			if got := m.String(); got != want || strings.ContainsAny(got, "\n\x1b") || !utf8.ValidString(got) {
				t.Errorf("%s\n\twant %s", got, want)
			}
		}
		check(openMut(t, name), large)
		m := open(t, name)
		check(m, large)
		must(t, m.Close())
		check(m, large+", closed")
		check(open(t, "small"), `"small": 100 bytes, leased copy in the Go heap`)
		check(create(t, "new"), `"new": 0 bytes, in the directory of the file`)

		c := snapshot.Config{TempDir: temp}
		undo := tmpfiles(t, 1, syscall.EACCES)
		elsewhere, err := c.Open(context.Background(), name)
		undo()
		must(t, err)
		closeLater(t, elsewhere)
		check(elsewhere, strconv.Quote(name)+": 300000 bytes, "+how+" "+
			strconv.Quote("in the temporary directory "+temp+" ("+elsewhereWhy+")"))

		notUTF8 := join(dir, "t\x9b31mp") // a terminal can take it for ESC [ 31 m
		must(t, os.Mkdir(notUTF8, 0o755))
		up, err := snapshot.Config{TempDir: notUTF8}.FromReaderAt(
			context.Background(), bytes.NewReader(make([]byte, 300_000)), 300_000, "\x9b31m")
		must(t, err)
		closeLater(t, up)
		check(up, strconv.Quote("\x9b31m")+": 300000 bytes, "+
			strconv.Quote("in the temporary directory "+notUTF8))

		defer systest.Intercept(t, func(call string) error {
			if call == "tmpfile excl" {
				return syscall.EROFS
			}
			return nil
		})()
		inMemory, err := snapshot.Config{TempDir: dir}.Open(context.Background(), name)
		must(t, err)
		closeLater(t, inMemory)
		got := inMemory.String()
		if !strings.HasPrefix(got, strconv.Quote(name)+": 300000 bytes, leased copy in memory (directory of the file: read-only file system; "+
			"temporary directory "+dir+": read-only file system; ficlone: ") {
			t.Error(got)
		}
	})
	for _, m := range []fmt.Stringer{
		(*snapshot.Mmap)(nil), new(snapshot.Mmap), (*snapshot.MmapMut)(nil), new(snapshot.MmapMut),
	} {
		if got := m.String(); got != "no snapshot" {
			t.Error(got)
		}
	}
}
