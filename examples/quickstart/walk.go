package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// readUnderFire reads the archive while a writer destroys it, through a snapshot taken before,
// and, for contrast, through os.File. What was torn in the snapshot, if anything, is in the
// report.
func readUnderFire(ctx context.Context, c config, r *report, archive, other string) error {
	good, err := os.ReadFile(archive)
	if err != nil {
		return err
	}
	bad, err := os.ReadFile(other)
	if err != nil {
		return err
	}

	// From here on the snapshot shows what the file holds now, whatever happens to it.
	m, err := snapshot.Open(archive)
	if err != nil {
		return err
	}
	defer m.Close()
	r.method = m.Method()
	r.archiveSize = m.Size()

	z, err := zip.NewReader(m, m.Size())
	if err != nil {
		return err
	}
	r.files = len(z.File)

	w := &writer{path: archive, versions: [2][]byte{bad, good}, pause: c.pause}
	writing, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	begin := time.Now()
	go func() { done <- w.run(writing) }()

	for err == nil && len(done) == 0 && (r.viaSnapshot.walks < c.walks || w.rounds() < c.rounds) {
		begin := time.Now()
		r.viaSnapshot.walk(ctx, m, m.Size())
		// As long again by os.File, which seldom comes to the end.
		for took := time.Since(begin); err == nil && time.Since(begin) < 2*took; err = ctx.Err() {
			r.viaFile.walkFile(ctx, archive)
			time.Sleep(5 * time.Millisecond)
		}
	}
	r.writing = time.Since(begin)
	stop()
	// The writer must have stopped before its directory is removed.
	if err := errors.Join(err, <-done); err != nil {
		return err
	}
	r.writer = w
	r.torn = r.check(ctx, m, good)
	return nil
}

// check says whether the snapshot showed, and shows, anything but the contents the file had
// when it was taken.
func (r *report) check(ctx context.Context, m *snapshot.Mmap, want []byte) error {
	got, err := hash(ctx, io.NewSectionReader(m, 0, m.Size()), -1)
	if err != nil {
		return err
	}
	t := &r.viaSnapshot
	if t.failed+t.unreadable > 0 {
		return fmt.Errorf("the snapshot was torn: %w", t.first)
	}
	if got != sha256.Sum256(want) {
		return errors.New("the snapshot has changed")
	}
	return nil
}

// A tally counts what became of walks through an archive.
type tally struct {
	walks, unreadable int // unreadable: not even the directory of the archive could be read
	entries, failed   int
	first             error
}

// walk reads every entry of the zip archive in src to its end, where package zip checks length
// and CRC.
func (t *tally) walk(ctx context.Context, src io.ReaderAt, size int64) {
	t.walks++
	z, err := zip.NewReader(src, size)
	if err != nil {
		t.unreadable++
		t.note(err)
		return
	}
	for _, entry := range z.File {
		if ctx.Err() != nil {
			return
		}
		t.entries++
		if err := readEntry(entry); err != nil {
			t.failed++
			t.note(err)
		}
	}
}

func readEntry(entry *zip.File) error {
	rc, err := entry.Open()
	if err != nil {
		return fmt.Errorf("%s: %w", entry.Name, err)
	}
	defer rc.Close()
	if _, err := io.Copy(io.Discard, rc); err != nil {
		return fmt.Errorf("%s: %w", entry.Name, err)
	}
	return nil
}

// walkFile is walk by way of os.File.
func (t *tally) walkFile(ctx context.Context, name string) {
	f, err := os.Open(name)
	if err != nil {
		t.walks++
		t.unreadable++
		t.note(err)
		return
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		t.walks++
		t.unreadable++
		t.note(err)
		return
	}
	t.walk(ctx, f, fi.Size())
}

func (t *tally) note(err error) {
	if t.first == nil {
		t.first = err
	}
}
