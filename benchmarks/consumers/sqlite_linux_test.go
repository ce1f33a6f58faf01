package consumers

import (
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"
	"modernc.org/sqlite/vfs"
)

const tableRows = 300

func TestSQLite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f.db")
	db, err := sql.Open("sqlite", "file:"+name)
	must(t, err)
	for _, statement := range []string{
		"CREATE TABLE t (id INTEGER PRIMARY KEY, padding BLOB)",
		fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d)
			INSERT INTO t SELECT i, zeroblob(3000) FROM n`, tableRows),
	} {
		_, err := db.ExecContext(t.Context(), statement)
		must(t, err)
	}
	must(t, db.Close())
	content, err := os.ReadFile(name)
	must(t, err)
	eachDamage(t, content, func(t *testing.T, name string, damage func()) {
		must(t, queryFS(t, newFS(t, filepath.Dir(name)), filepath.Base(name), damage))
	})
	err = queryFS(t, os.DirFS(filepath.Dir(name)), "f.db", func() { must(t, os.Truncate(name, 8192)) })
	if err == nil {
		t.Error("os.DirFS survives as well")
	}
}

// queryFS opens a database of an FS by a name and reads all of it with a cache of ten pages.
func queryFS(t *testing.T, fsys fs.FS, name string, damage func()) error {
	t.Helper()
	vfsName, v, err := vfs.New(fsys)
	must(t, err)
	defer func() { must(t, v.Close()) }()
	const options = "&mode=ro&_pragma=cache_size(10)"
	db, err := sql.Open("sqlite", "file:"+name+"?vfs="+vfsName+options)
	must(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	var table string
	err = db.QueryRowContext(t.Context(), "SELECT name FROM sqlite_schema").Scan(&table)
	if err != nil {
		return err
	}
	damage()
	for query, want := range map[string]string{
		"SELECT count(*) FROM t":             fmt.Sprint(tableRows),
		"SELECT sum(length(padding)) FROM t": fmt.Sprint(3000 * tableRows),
		"PRAGMA integrity_check":             "ok",
	} {
		var got string
		if err := db.QueryRowContext(t.Context(), query).Scan(&got); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		if err := wantEqual(query, got, want); err != nil {
			return err
		}
	}
	return nil
}
