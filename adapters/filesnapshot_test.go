package adapters_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// TestFileAndSnapshotCloseEachOther: Close of a File closes its snapshot, and Close of the snapshot
// closes the File. They have one name.
//
//promise:adapters.File.Close Close closes the snapshot; a File of a closed snapshot is closed
//promise:adapters.File.Name Name returns the name of the snapshot
//promise:adapters.NewFile the File takes over the snapshot: closing either closes both
func TestFileAndSnapshotCloseEachOther(t *testing.T) {
	name := put(t, t.TempDir(), "f", random(100))
	m := openMut(t, name)
	f := adapters.NewFile(m)
	if f.Name() != name {
		t.Errorf("the name is %q", f.Name())
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := m.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Close of the snapshot: %v", err)
	}
	m = openMut(t, name)
	f = adapters.NewFile(m)
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range []call{fRead(1), fReadAt(1, 0), fSeek(0, io.SeekStart), fWriteTo(), fWrite("x"), fWriteString("x"),
		fWriteAt("x", 0), fReadFrom("x"), fTruncate(1), fSync(), fStat(), fClose()} {
		if _, _, err := c.do(f); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}

// TestCreatedFileAppearsOnSync: there is no file before the first Sync, nor after a Close without a
// Sync.
//
//promise:adapters.File.Close writes since the last Sync are discarded
//promise:adapters.NewFile a File over a snapshot of Create has no file before the first Sync
func TestCreatedFileAppearsOnSync(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	for _, sync := range []bool{false, true} {
		m, err := snapshot.Create(name)
		supported(t, err)
		f := adapters.NewFile(m)
		if _, err := f.WriteString("contents"); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("before Sync: %v", err)
		}
		if sync {
			if err := f.Sync(); err != nil {
				t.Error(err)
			}
		}
		if _, err := f.WriteString(", and more"); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) == sync {
			t.Errorf("after Close: %v", err)
		}
	}
	if got, err := os.ReadFile(name); string(got) != "contents" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestSyncReportsCommitError: the error of Commit is the error of Sync, with the operation sync, and
// the file stays as it is.
//
//promise:adapters.File.Sync if Sync fails, the file is unchanged and the error is that of Commit
func TestSyncReportsCommitError(t *testing.T) {
	name := put(t, t.TempDir(), "f", []byte("old"))
	m, err := snapshot.Config{CheckConflict: true}.OpenMut(context.Background(), name)
	supported(t, err)
	f := adapters.NewFile(m)
	defer f.Close()
	if _, err := f.WriteString("ours"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("theirs"), 0); err != nil {
		t.Fatal(err)
	}
	err = f.Sync()
	var e *fs.PathError
	if !errors.Is(err, snapshot.ErrConflict) || !errors.As(err, &e) || e.Op != "sync" || e.Path != name {
		t.Errorf("Sync: %v", err)
	}
	if got, err := os.ReadFile(name); string(got) != "theirs" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := io.ReadAll(io.NewSectionReader(f, 0, 100)); string(got) != "ours" || err != nil {
		t.Errorf("the File holds %q, %v", got, err)
	}
}
