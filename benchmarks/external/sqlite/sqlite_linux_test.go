package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// snapshotOf makes snapshots of a database and of its write-ahead log, which is nil if there is
// none, while a transaction keeps writers out. f is the database, open for reading. It must stay
// open for as long as this process has the database open, because Close would end SQLite's locks.
// SQLite has no locks on the log.
func snapshotOf(ctx context.Context, c *sql.DB, f *os.File, begin string) (db, wal *snapshot.Mmap, err error) {
	for _, statement := range []string{begin, "SELECT count(*) FROM sqlite_schema"} {
		if _, err := c.ExecContext(ctx, statement); err != nil {
			return nil, nil, err
		}
	}
	defer func() {
		_, rollbackErr := c.ExecContext(ctx, "ROLLBACK")
		err = errors.Join(err, rollbackErr)
	}()
	db, err = snapshot.FromFile(f)
	if err != nil {
		return nil, nil, err
	}
	wal, err = snapshot.Open(f.Name() + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return db, nil, nil
	}
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, wal, nil
}

// Beside a process that commits all the time, each snapshot that is made in a transaction is a
// whole database, with a rollback journal and with a write-ahead log. With a rollback journal, the
// lock of readers is enough.
//
//promise:snapshot a snapshot of a live SQLite database is whole if a transaction keeps writers out
func TestSnapshotInTransaction(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		for _, way := range []string{"DELETE: BEGIN IMMEDIATE", "DELETE: BEGIN", "WAL: BEGIN IMMEDIATE"} {
			t.Run(way, func(t *testing.T) {
				mounttest.Leaks(t)
				mode, begin, _ := strings.Cut(way, ": ")
				name := filepath.Join(dir, mode+strconv.Itoa(len(begin))+".db")
				create(t, name, mode)
				f, err := os.Open(name)
				must(t, err)
				t.Cleanup(func() { must(t, f.Close()) }) // after connections are closed
				stop, _ := start(t, "write", name)
				defer stop()
				c := connect(t, name)
				logs := 0
				for i := range mounttest.Count(10, 100, 2000) {
					db, wal, err := snapshotOf(t.Context(), c, f, begin)
					must(t, err)
					if wal != nil {
						logs++
					}
					if err := check(t, db, wal); err != nil {
						t.Errorf("snapshot %d: %v", i, err)
					}
				}
				if (logs > 0) != (mode == "WAL") {
					t.Errorf("%d snapshots of a log", logs)
				}
			})
		}
	})
}

// In the middle of a transaction, the file is no database.
func TestSnapshotWithoutTransaction(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := filepath.Join(dir, "f.db")
		create(t, name, "DELETE")
		stop, said := start(t, "half", name)
		db, err := snapshot.Open(name)
		stop()
		must(t, err)
		if err := check(t, db, nil); err == nil {
			t.Errorf("the writer said %q, and the snapshot is whole: nothing is tested", said)
		}
	})
}

// SQLite's locks in this process outlive FromFile and the snapshot, and end with an Open of the
// same file.
//
//promise:snapshot.Config.FromFile locks of SQLite in this process stay
func TestLocksOfSQLite(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		name := filepath.Join(dir, "f.db")
		create(t, name, "DELETE")
		f, err := os.Open(name)
		must(t, err)
		t.Cleanup(func() { must(t, f.Close()) })
		c := connect(t, name)
		_, err = c.ExecContext(t.Context(), "BEGIN IMMEDIATE")
		must(t, err)
		for _, step := range []struct {
			open func() (*snapshot.Mmap, error)
			want string
		}{
			{func() (*snapshot.Mmap, error) { return snapshot.FromFile(f) }, "locked"},
			{func() (*snapshot.Mmap, error) { return snapshot.Open(name) }, "free"},
		} {
			m, err := step.open()
			must(t, err)
			must(t, check(t, m, nil))
			stop, said := start(t, "lock", name)
			stop()
			if said != step.want {
				t.Errorf("for another process the database is %s, want %s", said, step.want)
			}
		}
	})
}
