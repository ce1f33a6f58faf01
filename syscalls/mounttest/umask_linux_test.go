package mounttest_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Files have the modes that tests ask for, whatever the umask of who runs them.
func TestUmaskIsReset(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	cmd := rerun("TestHelperUmask", helperEnv+"=umask")
	out, _ := cmd.CombinedOutput()
	wantExit(t, cmd, string(out), 0, "the mode is -rw-r--r--")
}

// TestHelperUmask prints what mode a file gets.
func TestHelperUmask(t *testing.T) {
	helper(t)
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the mode is %v", fi.Mode())
}
