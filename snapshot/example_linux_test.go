package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// example makes a file in a directory that lasts as long as the tests.
func example(contents string) (name string) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	name = filepath.Join(dir, "data.txt")
	if err := os.WriteFile(name, []byte(contents), 0o644); err != nil {
		log.Fatal(err)
	}
	return name
}

// A snapshot stays as it is, whatever happens to the file.
func ExampleOpen() {
	name := example("one version\n")
	m, err := snapshot.Open(name)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()

	if err := os.Truncate(name, 0); err != nil { // would crash a reader of a plain mapping
		log.Fatal(err)
	}
	err = m.View(0, -1, func(b []byte) error {
		fmt.Printf("%s", b)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: one version
}

// A change is private until it is committed, and then complete.
func ExampleOpenMut() {
	name := example("Hello, World!\n")
	m, err := snapshot.OpenMut(name)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close() // discards what was not committed

	if _, err := m.WriteAt([]byte("there"), 7); err != nil {
		log.Fatal(err)
	}
	before, _ := os.ReadFile(name)
	if err := m.Resize(12); err != nil {
		log.Fatal(err)
	}
	if err := m.Commit(); err != nil {
		log.Fatal(err)
	}
	after, _ := os.ReadFile(name)
	fmt.Printf("%q\n%q\n", before, after)
	// Output:
	// "Hello, World!\n"
	// "Hello, there"
}

// A new file appears whole, or not at all.
func ExampleCreate() {
	name := example("") + ".new"
	m, err := snapshot.Create(name)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()

	if _, err := m.WriteGrow([]byte("abc"), 0); err != nil {
		log.Fatal(err)
	}
	_, err = os.Stat(name)
	fmt.Println(os.IsNotExist(err))
	if err := m.CommitAndClose(); err != nil {
		log.Fatal(err)
	}
	got, err := os.ReadFile(name)
	fmt.Printf("%s %v\n", got, err)
	// Output:
	// true
	// abc <nil>
}

// Two programs may count up one number, and no step is lost: whoever comes too late begins anew.
func ExampleConfig() {
	name := example("\x07")
	c := snapshot.Config{CheckConflict: true}
	increment := func(meanwhile func()) error {
		m, err := c.OpenMut(context.Background(), name)
		if err != nil {
			return err
		}
		defer m.Close() // discards what was not committed
		var b [1]byte
		if _, err := m.ReadAt(b[:], 0); err != nil {
			return err
		}
		meanwhile()
		b[0]++
		if _, err := m.WriteAt(b[:], 0); err != nil {
			return err
		}
		return m.CommitAndClose()
	}

	err := increment(func() { // in the middle of it, somebody else does the same
		if err := increment(func() {}); err != nil {
			log.Fatal(err)
		}
	})
	for errors.Is(err, snapshot.ErrConflict) {
		fmt.Println("again")
		err = increment(func() {})
	}
	if err != nil {
		log.Fatal(err)
	}
	got, err := os.ReadFile(name)
	fmt.Printf("%d %v\n", got, err)
	// Output:
	// again
	// [9] <nil>
}
