package adapters_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// An FS does not share a copy that one write(2) in progress tore: a file that is opened after the
// write shows all of it.
//
//promise:adapters.FS.Open a copy that a write(2) in progress can have torn is not shared later
func TestNoTornCopyIsShared(t *testing.T) {
	n := mounttest.Count(10, 100, 1000)
	mounttest.EachOf(t, mounttest.Disk|mounttest.NoReflinks, func(t *testing.T, dir string) {
		w := newDirectWriter(t, dir)
		for _, stays := range []bool{false, true} {
			torn := 0
			for i := 0; i < n || stays && torn == 0 && i < 5*n; i++ {
				want := "xy"[w.next : w.next+1]
				ended := w.begin(t, stays)
				fsys := newFS(t, dir, snapshot.Config{Progress: func(done, total int64) {
					if done >= total/2 && done < total {
						<-ended
					}
				}})
				f, err := fsys.Open("f")
				if err != nil {
					t.Fatal(err)
				}
				<-ended
				b := make([]byte, directSize)
				if _, err := f.(io.ReaderAt).ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				if n := bytes.Count(b, []byte(want)); n > 0 && n < len(b) {
					torn++
				}
				if p := contents(t, fsys, "f"); bytes.Count(p, []byte(want)) != len(p) {
					t.Error("a copy that was opened after the write has not all of it")
				}
				_ = f.Close()
				_ = fsys.Close()
			}
			// Whether one is torn depends on the speed of the disk.
			t.Logf("the writer stays: %v; %d copies were torn", stays, torn)
		}
	})
}
