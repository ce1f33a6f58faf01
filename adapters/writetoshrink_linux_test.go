package adapters_test

import (
	"io"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// A snapshot can shrink while a slow writer takes its contents: WriteTo has no View run meanwhile.
//
//promise:adapters.File.WriteTo the file can shrink while w writes
//promise:adapters.Reader.WriteTo a source that can be changed can shrink while w writes
func TestShrinkDuringWriteTo(t *testing.T) {
	for what, source := range map[string]func(m *snapshot.MmapMut) io.WriterTo{
		"File":   func(m *snapshot.MmapMut) io.WriterTo { return adapters.NewFile(m) },
		"Reader": func(m *snapshot.MmapMut) io.WriterTo { return adapters.NewReader(m) },
	} {
		m, err := snapshot.OpenMut(put(t, t.TempDir(), "f", random(2<<20)))
		supported(t, err)
		defer m.Close()
		if err := m.Prefetch(0, -1); err != nil {
			t.Fatal(err)
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := source(m).WriteTo(w)
			_ = w.Close()
			done <- err
		}()
		p := make([]byte, 1)
		if _, err := io.ReadFull(r, p); err != nil { // the writer waits: a pipe holds less
			t.Fatal(err)
		}
		if err := m.Resize(1); err != nil {
			t.Errorf("%s: Resize while WriteTo waits: %v", what, err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: WriteTo: %v", what, err)
		}
		_ = r.Close()
	}
}
