package external

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	kzip "github.com/klauspost/compress/zip"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// A library that knows nothing of snapshots reads one as the io.ReaderAt it is: all of an archive that is
// overwritten and cut off while it is read.
func TestConsumer(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		const members = 50
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for i := range members {
			f, err := w.Create(fmt.Sprint(i))
			must(t, err)
			_, err = f.Write(bytes.Repeat([]byte{byte(i)}, 100_000))
			must(t, err)
		}
		must(t, w.Close())
		name := filepath.Join(dir, "archive")
		write(t, name, b.Bytes())
		m, err := snapshot.Open(name)
		must(t, err)
		defer m.Close()
		r, err := kzip.NewReader(m, m.Size())
		must(t, err)
		for i, f := range r.File {
			if i == members/2 {
				write(t, name, noise(1000)) // truncates it first
			}
			rc, err := f.Open()
			must(t, err)
			got, err := io.ReadAll(rc) // checks the sum, too
			must(t, err)
			must(t, rc.Close())
			if f.Name != fmt.Sprint(i) || !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, 100_000)) {
				t.Errorf("member %d is something else", i)
			}
		}
		if len(r.File) != members {
			t.Errorf("%d members", len(r.File))
		}
		// The file itself is no archive any more.
		if f, err := os.Open(name); err == nil {
			defer f.Close()
			if _, err := kzip.NewReader(f, 1000); err == nil {
				t.Error("the file was not overwritten")
			}
		}
	})
}
