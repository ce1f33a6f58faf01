package adapters_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func picture() image.Image {
	m := image.NewRGBA(image.Rect(0, 0, 200, 100))
	for x := range 200 {
		for y := range 100 {
			m.Set(x, y, color.RGBA{uint8(x), uint8(y), uint8(x * y), 255})
		}
	}
	return m
}

func encoded(t *testing.T, encode func(w io.Writer) error) []byte {
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// formats are files and what the standard library reads out of them. What it reads is turned
// into a text, which is that from a bytes.Reader.
func formats(t *testing.T) map[string]struct {
	content []byte
	read    func(r io.ReadSeeker, at io.ReaderAt, size int64) (string, error)
} {
	type format = struct {
		content []byte
		read    func(r io.ReadSeeker, at io.ReaderAt, size int64) (string, error)
	}
	pixels := func(r io.ReadSeeker, _ io.ReaderAt, _ int64) (string, error) {
		m, kind, err := image.Decode(r)
		return fmt.Sprint(kind, m), err
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]format{
		"png":  {encoded(t, func(w io.Writer) error { return png.Encode(w, picture()) }), pixels},
		"jpeg": {encoded(t, func(w io.Writer) error { return jpeg.Encode(w, picture(), nil) }), pixels},
		"csv": {[]byte(strings.Repeat("a,\"quoted, and ü\",c\n", 5000)), func(r io.ReadSeeker, _ io.ReaderAt, _ int64) (string, error) {
			records, err := csv.NewReader(r).ReadAll()
			return fmt.Sprint(records), err
		}},
		"json": {[]byte(strings.Repeat(`{"name": "value", "list": [1, 2, 3]} `, 5000)), func(r io.ReadSeeker, _ io.ReaderAt, _ int64) (string, error) {
			var text strings.Builder
			for d := json.NewDecoder(r); ; {
				var v any
				if err := d.Decode(&v); err == io.EOF {
					return text.String(), nil
				} else if err != nil {
					return "", err
				}
				fmt.Fprint(&text, v)
			}
		}},
		"gzip": {gzipped(t, tarred(t)), func(r io.ReadSeeker, _ io.ReaderAt, _ int64) (string, error) {
			z, err := gzip.NewReader(r)
			if err != nil {
				return "", err
			}
			p, err := io.ReadAll(z)
			return string(p), err
		}},
		"zip": {zipped(t), func(_ io.ReadSeeker, at io.ReaderAt, size int64) (string, error) {
			z, err := zip.NewReader(at, size)
			if err != nil {
				return "", err
			}
			var text strings.Builder
			for _, f := range z.File {
				p, err := fs.ReadFile(z, f.Name)
				if err != nil {
					return "", err
				}
				fmt.Fprint(&text, f.Name, string(p))
			}
			return text.String(), nil
		}},
		// Skips every other member, for which archive/tar seeks.
		"tar": {tarred(t), func(r io.ReadSeeker, _ io.ReaderAt, _ int64) (string, error) {
			var text strings.Builder
			for a, i := tar.NewReader(r), 0; ; i++ {
				h, err := a.Next()
				if err == io.EOF {
					return text.String(), nil
				}
				if err != nil {
					return "", err
				}
				fmt.Fprint(&text, h.Name)
				if i%2 == 0 {
					if _, err := io.Copy(&text, a); err != nil {
						return "", err
					}
				}
			}
		}},
	}
	if _, err := elf.NewFile(bytes.NewReader(program)); err == nil {
		all["elf"] = format{program, func(_ io.ReadSeeker, at io.ReaderAt, _ int64) (string, error) {
			f, err := elf.NewFile(at)
			if err != nil {
				return "", err
			}
			var text strings.Builder
			for _, s := range f.Sections {
				fmt.Fprintln(&text, s.SectionHeader)
			}
			code := make([]byte, 1000)
			_, err = f.Section(".text").ReadAt(code, 5000)
			return text.String() + string(code), err
		}}
	}
	return all
}

// TestFormatsWhileReplaced has each format read by its reader in the standard library, while
// the file is truncated, overwritten and replaced all the time.
//
//promise:adapters.Reader standard decoders read one version, whatever happens to the file
//promise:adapters.File standard decoders read one version, whatever happens to the file
//promise:adapters.FS standard decoders read one version, whatever happens to the file
//promise:adapters.FS.Open an open file is one version, whatever happens to the file
func TestFormatsWhileReplaced(t *testing.T) {
	all := formats(t)
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		for kind, format := range all {
			want, err := format.read(bytes.NewReader(format.content), bytes.NewReader(format.content), int64(len(format.content)))
			if err != nil {
				t.Fatal(err)
			}
			name := put(t, dir, kind, format.content)
			m, mut := openMap(t, name), openMut(t, name)
			f, file := openFile(t, name), openFS(t, dir, kind)
			stop := meanwhile(t, func(i int) {
				switch i % 3 {
				case 0:
					_ = os.Truncate(name, 10)
				case 1:
					_ = os.WriteFile(name, bytes.Repeat([]byte("spoilt"), 1000), 0)
				case 2:
					next := filepath.Join(dir, "next")
					_ = os.WriteFile(next, []byte("replaced"), 0o644)
					_ = os.Rename(next, name)
				}
				time.Sleep(time.Millisecond) // the disk is not what is tested
			})
			for via, r := range map[string]reading{
				"Mmap": adapters.NewReader(m), "MmapMut": adapters.NewReader(mut), "File": f, "FS": file,
			} {
				for range mounttest.Count(1, 5, 100) {
					if _, err := r.Seek(0, io.SeekStart); err != nil {
						t.Fatal(err)
					}
					if got, err := format.read(r, r, r.Size()); err != nil || got != want {
						t.Errorf("%s by %s: %d bytes, want %d; %v", kind, via, len(got), len(want), err)
					}
				}
			}
			stop()
			_, _, _, _ = m.Close(), mut.Close(), f.Close(), file.(io.Closer).Close()
		}
	})
}
