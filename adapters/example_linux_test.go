package adapters_test

import (
	"archive/zip"
	"bufio"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// An archive goes on being readable while somebody overwrites its file.
func ExampleNewReader() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "poems.zip")
	writeZip(name, "haiku.txt", "old pond\nfrog leaps in\nwater's sound\n")

	m, err := snapshot.Open(name)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	r := adapters.NewReader(m)
	z, err := zip.NewReader(r, r.Size())
	if err != nil {
		log.Fatal(err)
	}

	// Whoever has the file itself mapped crashes now.
	if err := os.Truncate(name, 0); err != nil {
		log.Fatal(err)
	}

	for _, f := range z.File {
		fmt.Println(f.Name)
		c, err := f.Open()
		if err != nil {
			log.Fatal(err)
		}
		if _, err := io.Copy(os.Stdout, c); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// haiku.txt
	// old pond
	// frog leaps in
	// water's sound
}

// A file is edited in place as it seems; everybody else sees the old contents until Sync, and
// then the new.
func ExampleNewFile() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "list.txt")
	if err := os.WriteFile(name, []byte("milk\nbread\n"), 0o644); err != nil {
		log.Fatal(err)
	}
	show := func(when string) {
		p, err := os.ReadFile(name)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %q\n", when, p)
	}

	m, err := snapshot.OpenMut(name)
	if err != nil {
		log.Fatal(err)
	}
	f := adapters.NewFile(m)
	defer f.Close() // discards what was not synced

	if _, err := f.WriteAt([]byte("M"), 0); err != nil {
		log.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		log.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "eggs")
	if err := w.Flush(); err != nil {
		log.Fatal(err)
	}
	show("before")
	if err := f.Sync(); err != nil {
		log.Fatal(err)
	}
	show("after")
	// Output:
	// before: "milk\nbread\n"
	// after: "Milk\nbread\neggs\n"
}

// A file server of which every response is one version of the file, and which answers requests
// for a part of it.
func ExampleNewFS() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "hello.txt")
	if err := os.WriteFile(name, []byte("hello, world\n"), 0o644); err != nil {
		log.Fatal(err)
	}

	fsys, err := adapters.NewFS(dir, snapshot.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer fsys.Close()
	server := httptest.NewServer(http.FileServerFS(fsys))
	defer server.Close()

	req, err := http.NewRequest("GET", server.URL+"/hello.txt", nil)
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Range", "bytes=7-11")
	resp, err := server.Client().Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.Status)
	fmt.Println(resp.Header.Get("Content-Range"))
	fmt.Printf("%s\n", body)
	// Output:
	// 206 Partial Content
	// bytes 7-11/13
	// world
}

// What was opened by an FS stays what it was.
func ExampleFS_Open() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "f")
	if err := os.WriteFile(name, []byte("old"), 0o644); err != nil {
		log.Fatal(err)
	}
	fsys, err := adapters.NewFS(dir, snapshot.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer fsys.Close()

	f, err := fsys.Open("f")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	if err := os.WriteFile(name, []byte("new contents"), 0o644); err != nil {
		log.Fatal(err)
	}
	was, err := io.ReadAll(f)
	if err != nil {
		log.Fatal(err)
	}
	is, err := fsys.ReadFile("f")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, then %s\n", was, is)
	// Output: old, then new contents
}

func writeZip(name, member, content string) {
	f, err := os.Create(name)
	if err != nil {
		log.Fatal(err)
	}
	z := zip.NewWriter(f)
	w, err := z.Create(member)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		log.Fatal(err)
	}
	if err := z.Close(); err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
}
