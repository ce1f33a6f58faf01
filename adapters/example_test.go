package adapters_test

import (
	"archive/zip"
	"bufio"
	"fmt"
	"io"
	"log"
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
