package pathname

import (
	"errors"
	"fmt"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// ErrSizeUnknown is the error of a file whose size says nothing about what can be read from it.
var ErrSizeUnknown = fmt.Errorf("file does not report its size: %w", errors.ErrUnsupported)

// generated are the filesystems whose files the kernel makes up when they are read (linux/magic.h).
// The size 0 of a file there says nothing. To read a byte tells, but it can wait, or take the byte
// away from other readers: /proc/kmsg and trace_pipe do both. On other filesystems a byte is read
// that the size excludes, which also finds the files of FUSE servers that know no size.
var generated = map[uint32]bool{
	0x00009fa0: true, // procfs
	0x62656572: true, // sysfs
	0x0027e0eb: true, // cgroup
	0x63677270: true, // cgroup2
	0x74726163: true, // tracefs
	0x64626720: true, // debugfs
	0x73636673: true, // securityfs
	0xf97cff8c: true, // selinuxfs
	0x43415d53: true, // smackfs
	0x5a3c69f0: true, // aafs, of AppArmor
	0x42494e4d: true, // binfmt_misc
	0x62656570: true, // configfs
	0xcafe4a11: true, // bpf
	0x65735543: true, // fusectl
	0x6e667364: true, // nfsd
	0x07655821: true, // resctrl
	0x67596969: true, // rpc_pipefs
	0xabba1974: true, // xenfs
}

// CheckReadable returns an error if the file behind the descriptor fd, perhaps one of OpenPath,
// cannot be copied: it is not a regular file, or it does not report its size.
func CheckReadable(fd int, st syscalls.Stat) error {
	if !st.Mode.IsRegular() {
		return NotRegular(st.Mode)
	}
	if st.Size > 0 {
		return nil
	}
	// Without the answer, in a sandbox, the file is read as on any filesystem.
	if magic, err := sys.FSType(fd); err == nil && generated[magic] {
		return ErrSizeUnknown
	}
	return nil
}
