package adapters_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// spoil does to a file what its readers fear.
var spoil = []func(tb testing.TB, name string){
	func(tb testing.TB, name string) { // truncate
		if err := os.Truncate(name, 10); err != nil {
			tb.Error(err)
		}
	},
	func(tb testing.TB, name string) { // overwrite, and truncate
		if err := os.WriteFile(name, bytes.Repeat([]byte("spoilt"), 1000), 0); err != nil {
			tb.Error(err)
		}
	},
	func(tb testing.TB, name string) { // replace
		if err := os.Rename(put(tb, tb.TempDir(), "other", []byte("other")), name); err != nil {
			_ = os.Remove(name) // on another filesystem
		}
	},
}

// TestZipWhileSpoilt walks an archive whose file is spoilt in the middle of it.
//
//promise:snapshot.Mmap.ReadAt a snapshot is an io.ReaderAt for zip.NewReader
func TestZipWhileSpoilt(t *testing.T) {
	archive := zipped(t)
	mounttest.Each(t, func(t *testing.T, dir string) {
		for _, spoil := range spoil {
			name := put(t, dir, "a.zip", archive)
			for kind, src := range map[string]interface {
				io.ReaderAt
				Size() int64
			}{
				"Mmap": openMap(t, name), "Reader": adapters.NewReader(openMap(t, name)), "Reader of MmapMut": adapters.NewReader(openMut(t, name)),
			} {
				z, err := zip.NewReader(src, src.Size())
				if err != nil {
					t.Fatalf("%s: %v", kind, err)
				}
				for i, f := range z.File {
					if i == members/2 {
						spoil(t, name)
					}
					r, err := f.Open()
					if err != nil {
						t.Fatalf("%s: %v", kind, err)
					}
					got, err := io.ReadAll(r)
					if err != nil {
						t.Fatalf("%s: %s: %v", kind, f.Name, err)
					}
					_, want := member(i)
					same(t, got, want)
				}
				_ = os.WriteFile(name, archive, 0o644)
			}
		}
	})
}

func TestTarWhileSpoilt(t *testing.T) {
	archive := tarred(t)
	mounttest.Each(t, func(t *testing.T, dir string) {
		for _, spoil := range spoil {
			name := put(t, dir, "a.tar", archive)
			m := openMap(t, name)
			r := tar.NewReader(adapters.NewReader(m))
			for i := range members {
				if i == members/2 {
					spoil(t, name)
				}
				h, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				wantName, want := member(i)
				got, err := io.ReadAll(r)
				if err != nil || h.Name != wantName {
					t.Fatalf("%s: %v", h.Name, err)
				}
				same(t, got, want)
			}
			if _, err := r.Next(); err != io.EOF {
				t.Error(err)
			}
		}
	})
}

// TestGzip is for a consumer that reads by bytes.
func TestGzip(t *testing.T) {
	content := tarred(t)
	name := put(t, t.TempDir(), "a.gz", gzipped(t, content))
	for _, r := range []io.Reader{adapters.NewReader(openMap(t, name)), adapters.NewReader(openMut(t, name)), openFile(t, name)} {
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, content)
	}
}

// TestZipWrittenToFile has an archive written through a File.
//
//promise:adapters.File.Sync the file changes with Sync alone
func TestZipWrittenToFile(t *testing.T) {
	name := put(t, t.TempDir(), "a.zip", []byte("old"))
	f := openFile(t, name)
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	for i := range members {
		memberName, content := member(i)
		m, err := w.Create(memberName)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); string(got) != "old" || err != nil {
		t.Errorf("before Sync the file holds %d bytes, %v", len(got), err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, zipped(t))
}
