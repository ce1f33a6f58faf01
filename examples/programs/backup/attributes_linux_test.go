package main

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// capNetRaw is cap_net_raw=ep, as capabilities(7) has it: struct vfs_cap_data, revision 2.
var capNetRaw = append([]byte{1, 0, 0, 2, 0, 0x20}, make([]byte, 14)...)

// acl returns an ACL that gives a user what the mode 0644 gives to all: struct
// posix_acl_xattr_header and its entries.
func acl(uid uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{{1, 6, 0}, {2, 4, uid}, {4, 4, 0}, {16, 4, 0}, {32, 4, 0}} {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return b
}

// File capabilities are kept, whether data are copied or not, and whoever owns the file.
func TestCapabilities(t *testing.T) {
	mounttest.Need(t, "CAP_SETFCAP", "CAP_CHOWN")
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		source, copied := filepath.Join(dir, "source"), filepath.Join(dir, "copy")
		must(t, os.Mkdir(source, 0o755))
		for i, name := range []string{"root's", "another's"} {
			f := programtest.Put(t, source, name, strings.Repeat("x", 200_000))
			must(t, os.Chown(f, i*1234, i*1234))
			if err := unix.Setxattr(f, capabilityName, capNetRaw, 0); errors.Is(err, unix.EOPNOTSUPP) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
		}
		programtest.Call(t, run, source, copied).Want(t, 0, "2 files", "")
		for _, name := range []string{"root's", "another's"} {
			b := make([]byte, 100)
			n, err := unix.Getxattr(filepath.Join(copied, treeName, name), capabilityName, b)
			if err != nil || string(b[:n]) != string(capNetRaw) {
				t.Errorf("%s: % x, %v", name, b[:max(n, 0)], err)
			}
		}
		programtest.Call(t, run, "-verify", copied).Want(t, 0, "as in the manifest", "")
	})
}

// Capabilities are not given to contents that came after them.
func TestCapabilitiesOfAnotherMoment(t *testing.T) {
	mounttest.Need(t, "CAP_SETFCAP")
	mounttest.Each(t, func(t *testing.T, dir string) {
		name := programtest.Put(t, dir, "f", "x")
		f, err := os.Open(name)
		must(t, err)
		defer f.Close()
		if err := unix.Setxattr(name, capabilityName, capNetRaw, 0); err != nil {
			t.Skip(err)
		}
		var e entry
		must(t, e.readCapability(f))
		taken, err := f.Stat()
		must(t, err)
		must(t, e.checkCapability(taken))
		for taken, err = f.Stat(); err == nil && changeTime(taken).Equal(changeTime(e.before)); taken, err = f.Stat() {
			must(t, os.WriteFile(name, []byte("other contents"), 0o644)) // until the clock ticks
		}
		must(t, err)
		if lack := (*lackError)(nil); !errors.As(e.checkCapability(taken), &lack) {
			t.Error("capabilities of other contents are kept")
		}
	})
}

// Verifying finds other owners, extended attributes, ACLs and capabilities.
func TestVerifyAttributes(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		source, copied := filepath.Join(dir, "source"), filepath.Join(dir, "copy")
		must(t, os.MkdirAll(filepath.Join(source, "d"), 0o755))
		f := programtest.Put(t, source, "f", "x")
		programtest.Put(t, source, "g", "x")
		if err := unix.Setxattr(f, "user.a", []byte("1"), 0); err != nil {
			t.Skip(err)
		}
		in := func(name string) string { return filepath.Join(copied, treeName, name) }
		const other = ": other extended attributes, ACL or capabilities\n"
		for _, x := range []struct {
			needs  string
			change func() error
			out    string
		}{
			{"", func() error { return unix.Setxattr(in("f"), "user.a", []byte("2"), 0) }, "f" + other},
			{"", func() error { return unix.Setxattr(in("g"), "user.b", nil, 0) }, "g" + other},
			{"", func() error { return unix.Setxattr(in("d"), "user.b", nil, 0) }, "d" + other},
			{"", func() error { return unix.Setxattr(in("g"), "system.posix_acl_access", acl(1234), 0) }, "g" + other},
			{"CAP_SETFCAP", func() error { return unix.Setxattr(in("g"), capabilityName, capNetRaw, 0) }, "g" + other},
			{"CAP_CHOWN", func() error { return os.Chown(in("g"), 1234, 0) }, "g: owner 1234:0, not 0:0\n"},
			{"CAP_CHOWN", func() error { return os.Chown(in("d"), 0, 1234) }, "d: owner 0:1234, not 0:0\n"},
		} {
			if x.needs != "" && !mounttest.Can(x.needs) {
				continue
			}
			programtest.Call(t, run, source, copied).Want(t, 0, "2 files", "")
			must(t, x.change())
			r := programtest.Call(t, run, "-verify", copied)
			r.Want(t, 1, x.out, "1 difference from the manifest")
			must(t, os.RemoveAll(copied))
		}
	})
}
