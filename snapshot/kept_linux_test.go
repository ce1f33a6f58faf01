package snapshot_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// tableOf returns the cells of the table that begins a section of the package documentation. The
// columns are apart by two spaces at least.
func tableOf(t *testing.T, section string) (rows [][]string) {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	must(t, err)
	_, text, _ := strings.Cut(string(doc), "\n// # "+section+"\n//\n")
	columns := regexp.MustCompile(` {2,}`)
	for line := range strings.Lines(text) {
		line, isTable := strings.CutPrefix(line, "//\t")
		if !isTable {
			break
		}
		rows = append(rows, columns.Split(strings.TrimSpace(line), -1))
	}
	return rows
}

// Each cell of the table "Which attributes each way of committing keeps" is true, on each
// filesystem, for root and for an ordinary user.
//
//promise:snapshot.MmapMut.Commit the table of attributes is true in each cell
//promise:snapshot.MmapMut.CommitAndClose the table of attributes is true in each cell
//promise:snapshot.MmapMut.CommitTo the table of attributes is true in each cell
//promise:snapshot.MmapMut.Link the table of attributes is true in each cell
//promise:snapshot.Config.Create the table of attributes is true in each cell
//promise:snapshot.Config.InPlace the table of attributes is true in each cell
func TestKept(t *testing.T) {
	needOwners(t)
	table, rows := tableOf(t, "Which attributes each way of committing keeps"), keptRows()
	if len(table) != 1+len(rows) || !slices.Equal(table[0], keptColumns) {
		t.Fatalf("%d rows in the table, %d in the test; columns %q", len(table)-1, len(rows), table[0])
	}
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		victim := newUser(t, victimID, victimID)
		cells := 0
		for i, row := range rows {
			if want := table[1+i]; want[0] != row.name || len(want) != 1+len(keptColumns) {
				t.Fatalf("the row %q of the table is not %q, or lacks a cell", want, row.name)
			}
			for _, way := range keptWays() {
				for _, by := range []keptUser{byRoot, byOther} {
					if row.by != eachUser && row.by != by || way.column == 4 && !reflinks(dir) {
						continue
					}
					d := join(dir, fmt.Sprintf("%d-%d", i, cells))
					c := keptCell{row, way, table[1+i][1+way.column], d, 0}
					do := func(f func()) { f() }
					if by == byOther {
						c.owner, do = victimID, victim.do
					}
					if err := c.check(do); errors.Is(err, errAbsent) {
						continue
					} else if err != nil {
						t.Errorf("%s, %s (%s) by user %d: %v",
							row.name, keptColumns[way.column], way.name, c.owner, err)
					}
					cells++
				}
			}
		}
		t.Logf("%d cells", cells)
		if cells < 100 && mounttest.Has(dir, mounttest.Known) {
			t.Error("too few")
		}
	})
}

// A keptCell is a cell of the table, for one way of committing.
type keptCell struct {
	keptRow
	keptWay
	want  string
	dir   string // to be made
	owner int    // of the files, who commits
}

// check returns how the cell is wrong. do runs a function as the user who commits.
func (c keptCell) check(do func(f func())) error {
	const dirGroup = 7000
	if err := errors.Join(os.Mkdir(c.dir, 0o755), os.Chown(c.dir, c.owner, dirGroup),
		os.Chmod(c.dir, 0o755|fs.ModeSetgid)); err != nil {
		return err
	}
	defer os.RemoveAll(c.dir)
	if c.keptRow.name == "ACL" { // new files have one, too
		if unix.Setxattr(c.dir, "system.posix_acl_default", acl(99), 0) != nil {
			return errAbsent
		}
	}
	values := map[string]string{"none": ""}
	for i, name := range []string{"opened", "target"} {
		file := join(c.dir, name)
		err := os.WriteFile(file, []byte("old"), 0o644)
		if err == nil {
			err = os.Chown(file, c.owner, c.owner)
		}
		if err == nil {
			_ = unix.Removexattr(file, "system.posix_acl_access")
			err = c.set(file, 1+i)
		}
		if err == nil {
			values[name], err = c.get(file)
		}
		if err != nil {
			return err
		}
		if values[name] == "" {
			return fmt.Errorf("nothing is tested: %s does not have it", name)
		}
	}
	var result string
	var err error
	do(func() {
		if !c.fresh {
			fresh := join(c.dir, "fresh")
			if err = os.WriteFile(fresh, nil, 0o666); err != nil {
				return
			}
			if values["new"], err = c.get(fresh); err != nil {
				return
			}
		}
		result, err = c.do(c.dir)
	})
	if c.want == "refused" {
		if !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("not refused: %w", err)
		}
		for _, name := range []string{"opened", "target"} {
			if got, err := c.get(join(c.dir, name)); err != nil || got != values[name] {
				return fmt.Errorf("refused, and changed: %q, %w", got, err)
			}
		}
		return nil
	}
	if err != nil {
		return err
	}
	got, err := c.get(result)
	if err != nil {
		return err
	}
	want, known := values[c.want]
	switch {
	case c.fresh && c.want == "new":
		if got == values["opened"] || got == values["target"] {
			return fmt.Errorf("%q is not new", got)
		}
	case !known:
		return fmt.Errorf("the table has %q", c.want)
	case got != want:
		return fmt.Errorf("%q, want that of %s, %q; all are %q", got, c.want, want, values)
	}
	return nil
}
