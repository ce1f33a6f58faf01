package snapshot_test

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// needOwners skips a test that gives files away and then changes them, or becomes their owner.
func needOwners(t *testing.T) {
	t.Helper()
	mounttest.Need(t, "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_SETUID", "CAP_SETGID")
}

// attributesOf describes all that a file has besides its contents and times.
func attributesOf(t testing.TB, name string) string {
	t.Helper()
	fi, err := os.Stat(name)
	must(t, err)
	st := fi.Sys().(*syscall.Stat_t)
	var b strings.Builder
	_, _ = b.WriteString(fi.Mode().String())
	_, _ = b.WriteString(" uid " + strconv.Itoa(int(st.Uid)) + " gid " + strconv.Itoa(int(st.Gid)) + "\n")
	buf := make([]byte, 1<<16)
	n, err := unix.Listxattr(name, buf)
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		t.Fatal(err)
	}
	names := strings.Split(string(buf[:max(n, 0)]), "\x00")
	slices.Sort(names)
	for _, x := range names {
		if x == "" {
			continue
		}
		value := make([]byte, 1<<16)
		n, err := unix.Getxattr(name, x, value)
		must(t, err)
		_, _ = b.WriteString(x + "=" + strconv.Quote(string(value[:n])) + "\n")
	}
	return b.String()
}

// acl is the ACL user::rwx, user:UID:r--, group::r-x, mask::r-x, other::--x in the form of the
// kernel.
func acl(uid uint16) []byte {
	entry := func(tag, perm byte, id uint32) []byte {
		return []byte{tag, 0, perm, 0, byte(id), byte(id >> 8), byte(id >> 16), byte(id >> 24)}
	}
	b := []byte{2, 0, 0, 0}
	for _, e := range [][]byte{
		entry(0x01, 7, 1<<32-1), entry(0x02, 4, uint32(uid)), entry(0x04, 5, 1<<32-1), entry(0x10, 5, 1<<32-1), entry(0x20, 1, 1<<32-1),
	} {
		b = append(b, e...)
	}
	return b
}

// capNetRaw is cap_net_raw=ep as security.capability has it (struct vfs_cap_data, revision 2).
var capNetRaw = []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
