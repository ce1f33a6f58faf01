package pathname

import (
	"testing"

	"golang.org/x/sys/unix"
)

// The filesystems whose files the kernel generates are those of linux/magic.h, and no other
// filesystem, on which a file of size 0 is an empty one, is among them.
func TestGenerated(t *testing.T) {
	for _, magic := range []int64{
		unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
		unix.TRACEFS_MAGIC, unix.DEBUGFS_MAGIC, unix.SECURITYFS_MAGIC, unix.SELINUX_MAGIC,
		unix.SMACK_MAGIC, unix.AAFS_MAGIC, unix.BPF_FS_MAGIC, unix.RDTGROUP_SUPER_MAGIC,
		unix.BINFMTFS_MAGIC, unix.XENFS_SUPER_MAGIC,
	} {
		if !generated[uint32(magic)] {
			t.Errorf("%#x is not among them", magic)
		}
	}
	for _, magic := range []int64{
		unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC,
		unix.RAMFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC, unix.NFS_SUPER_MAGIC,
		unix.SQUASHFS_MAGIC, unix.EROFS_SUPER_MAGIC_V1, unix.HUGETLBFS_MAGIC, unix.CEPH_SUPER_MAGIC,
	} {
		if generated[uint32(magic)] {
			t.Errorf("%#x is among them", magic)
		}
	}
}
