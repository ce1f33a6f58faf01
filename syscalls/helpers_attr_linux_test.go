package syscalls_test

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// Attributes of a file, of linux/fs.h.
const (
	immutable  = 0x10
	appendOnly = 0x20
	noDump     = 0x40
)

// setFlag is chattr. A test that fails does not leave the flag behind, because the file could not
// be removed then.
func setFlag(t *testing.T, fd int, flag uint32, on bool) {
	t.Helper()
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	must(t, err)
	flags &^= flag
	if on {
		flags |= flag
	}
	must(t, unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags)))
	if on {
		t.Cleanup(func() { _ = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags&^flag)) })
	}
}

// defaultACL is a system.posix_acl_default, version 2: owner, group and others.
func defaultACL(user, group, other uint16) []byte {
	const userObj, groupObj, otherObj, noID = 0x01, 0x04, 0x20, ^uint32(0)
	acl := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][2]uint16{{userObj, user}, {groupObj, group}, {otherObj, other}} {
		acl = binary.LittleEndian.AppendUint16(acl, e[0])
		acl = binary.LittleEndian.AppendUint16(acl, e[1])
		acl = binary.LittleEndian.AppendUint32(acl, noID)
	}
	return acl
}
