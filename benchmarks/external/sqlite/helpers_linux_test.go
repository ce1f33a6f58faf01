package sqlite

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	_ "modernc.org/sqlite"
)

// childEnv tells a process of this program what to do with which database instead of testing.
const childEnv = "SQLITE_CHILD"

func TestMain(m *testing.M) {
	if what, name, ok := strings.Cut(os.Getenv(childEnv), " "); ok {
		if err := children[what](name); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	mounttest.Main(m)
}

var children = map[string]func(name string) error{"write": writeAlways, "half": writeHalf, "lock": tryLock}

// start starts a child and waits until it has said something, which start returns.
func start(t *testing.T, what, name string) (stop func(), said string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"="+what+" "+name)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewReader(out)
	line, _ := lines.ReadString('\n')
	stop = func() {
		_ = in.Close() // ends the child
		rest, _ := io.ReadAll(lines)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v: %s%s", what, err, line, rest)
		}
	}
	return stop, strings.TrimSpace(line)
}

// stdinClosed returns a channel that is closed when the parent closes the standard input.
func stdinClosed() <-chan struct{} {
	closed := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(closed)
	}()
	return closed
}

// rows is how many rows the table has, each of them on a page of its own.
const rows = 200

// transaction changes every row. Thus all rows have one version between two transactions.
const transaction = "UPDATE t SET version = version + 1"

// create makes a database with a journal mode.
func create(t *testing.T, name, mode string) {
	t.Helper()
	db := connect(t, name)
	for _, statement := range []string{
		"PRAGMA journal_mode=" + mode,
		"CREATE TABLE t (id INTEGER PRIMARY KEY, version INTEGER, padding BLOB)",
		"CREATE INDEX versions ON t (version)",
		fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d)
			INSERT INTO t SELECT i, 0, randomblob(3000) FROM n`, rows),
	} {
		_, err := db.ExecContext(t.Context(), statement)
		must(t, err)
	}
	must(t, db.Close())
}

// open opens one connection, which waits for locks for a minute, and whose cache has room for ten
// pages: SQLite writes the pages of larger transactions to the database before the commit. It calls
// no fsync, because no test crashes the machine.
func open(ctx context.Context, name string) (*sql.DB, error) {
	const pragmas = "?_pragma=busy_timeout(60000)&_pragma=cache_size(10)&_pragma=synchronous(0)"
	db, err := sql.Open("sqlite", "file:"+name+pragmas)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	return db, db.PingContext(ctx)
}

func connect(t *testing.T, name string) *sql.DB {
	t.Helper()
	db, err := open(t.Context(), name)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// writeAlways commits transactions until the parent ends it.
func writeAlways(name string) error {
	ctx, closed := context.Background(), stdinClosed()
	db, err := open(ctx, name)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if _, err := db.ExecContext(ctx, transaction); err != nil {
			return err
		}
		if n == 0 {
			fmt.Println("ready")
		}
		select {
		case <-closed:
			return db.Close()
		case <-time.After(5 * time.Millisecond): // others get the lock, too
		}
	}
}

// writeHalf stops in the middle of a transaction until the parent ends it.
func writeHalf(name string) error {
	ctx := context.Background()
	db, err := open(ctx, name)
	if err != nil {
		return err
	}
	for _, statement := range []string{"BEGIN", transaction} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	<-stdinClosed()
	_, err = db.ExecContext(ctx, "COMMIT")
	return errors.Join(err, db.Close())
}

// tryLock says whether another process holds the lock of writers.
func tryLock(name string) error {
	ctx := context.Background()
	db, err := open(ctx, name)
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "PRAGMA busy_timeout=0"); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "BEGIN IMMEDIATE"); err == nil {
		fmt.Println("free")
	} else if strings.Contains(err.Error(), "SQLITE_BUSY") {
		fmt.Println("locked")
	} else {
		return err
	}
	return db.Close()
}

// check writes snapshots of a database and of its write-ahead log, if it has one, to files, and
// returns an error if SQLite finds no whole database in them.
func check(t *testing.T, db, wal *snapshot.Mmap) error {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "copy.db")
	save(t, db, name)
	if wal != nil {
		save(t, wal, name+"-wal")
	}
	saved, err := open(t.Context(), name)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	defer saved.Close()
	for query, want := range map[string]string{
		"PRAGMA integrity_check":                      "ok",
		"SELECT count(*) FROM t":                      fmt.Sprint(rows),
		"SELECT count(DISTINCT version) FROM t":       "1",
		"SELECT count(DISTINCT +version + 0) FROM t ": "1", // without the index
	} {
		var got string
		if err := saved.QueryRowContext(t.Context(), query).Scan(&got); err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s: %s", query, got)
		}
	}
	return nil
}

func save(t *testing.T, m *snapshot.Mmap, name string) {
	t.Helper()
	must(t, os.WriteFile(name, m.Bytes(), 0o600))
	must(t, m.Close())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
