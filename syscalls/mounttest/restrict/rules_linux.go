package main

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest/internal/seccomp"
)

// newNamespace are the flags of clone by which a thread asks for a namespace.
const newNamespace = unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
	unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP

// docker returns what Docker's default seccomp profile refuses to a container with the
// capabilities in dockerCapabilities. The profile is a list of allowed calls; this list has those
// that it leaves out and that concern files, mounts, namespaces and privileges.
func docker() []seccomp.Rule {
	flags := 0 // which argument of clone has the flags
	if runtime.GOARCH == "s390x" {
		flags = 1
	}
	rules := []seccomp.Rule{
		{Call: unix.SYS_CLONE, Errno: unix.EPERM,
			If: seccomp.Condition{Test: seccomp.AnyBit, Arg: flags, Value: newNamespace}},
		// A filter cannot read the flags of clone3, which are in memory; callers fall back to clone.
		{Call: unix.SYS_CLONE3, Errno: unix.ENOSYS},
	}
	for _, call := range []uintptr{
		// CAP_SYS_ADMIN
		unix.SYS_BPF, unix.SYS_FANOTIFY_INIT, unix.SYS_LOOKUP_DCOOKIE, unix.SYS_PERF_EVENT_OPEN,
		unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD, unix.SYS_SETDOMAINNAME, unix.SYS_SETHOSTNAME,
		unix.SYS_SETNS, unix.SYS_SYSLOG, unix.SYS_UNSHARE,
		// mounts, CAP_SYS_ADMIN too
		unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_FSOPEN, unix.SYS_FSCONFIG,
		unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE,
		unix.SYS_MOUNT_SETATTR,
		// other capabilities
		unix.SYS_ACCT, unix.SYS_CLOCK_SETTIME, unix.SYS_SETTIMEOFDAY, unix.SYS_DELETE_MODULE,
		unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_GET_MEMPOLICY, unix.SYS_SET_MEMPOLICY,
		unix.SYS_MBIND, unix.SYS_MIGRATE_PAGES, unix.SYS_MOVE_PAGES, unix.SYS_KCMP,
		unix.SYS_PIDFD_GETFD, unix.SYS_PROCESS_MADVISE, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_REBOOT,
		unix.SYS_VHANGUP,
		// never allowed
		unix.SYS_ADD_KEY, unix.SYS_KEYCTL, unix.SYS_REQUEST_KEY, unix.SYS_KEXEC_LOAD,
		unix.SYS_NFSSERVCTL, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_USERFAULTFD,
		unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	} {
		rules = append(rules, seccomp.Rule{Call: call, Errno: unix.EPERM})
	}
	return rules
}

// old returns the calls of this module that old kernels and some sandboxes lack, and how these fail.
func old() []seccomp.Rule {
	rules, err := parseRules("ioctl:FICLONE=ENOTTY,ioctl:FICLONERANGE=ENOTTY," +
		"copy_file_range=ENOSYS,statx=ENOSYS,renameat2=ENOSYS,openat2=ENOSYS")
	if err != nil {
		panic(err)
	}
	return rules
}

// calls names those that -refuse knows: what this module calls. Others are given by number.
var calls = map[string]uintptr{
	"copy_file_range": unix.SYS_COPY_FILE_RANGE,
	"fallocate":       unix.SYS_FALLOCATE,
	"flistxattr":      unix.SYS_FLISTXATTR,
	"ioctl":           unix.SYS_IOCTL,
	"linkat":          unix.SYS_LINKAT,
	"madvise":         unix.SYS_MADVISE,
	"memfd_create":    unix.SYS_MEMFD_CREATE,
	"mincore":         unix.SYS_MINCORE,
	"openat2":         unix.SYS_OPENAT2,
	"renameat2":       unix.SYS_RENAMEAT2,
	"statx":           unix.SYS_STATX,
	"uname":           unix.SYS_UNAME,
}

// commands names values of the second argument of ioctl.
var commands = map[string]uint32{
	"FICLONE":      unix.FICLONE,
	"FICLONERANGE": unix.FICLONERANGE,
}

// parseRules reads "call=ERRNO,call:COMMAND=ERRNO".
func parseRules(list string) (rules []seccomp.Rule, err error) {
	for item := range strings.SplitSeq(list, ",") {
		what, errno, ok := strings.Cut(item, "=")
		if !ok {
			return nil, fmt.Errorf("%q has no =ERRNO", item)
		}
		name, command, limited := strings.Cut(what, ":")
		call, ok := calls[name]
		if !ok {
			n, err := strconv.ParseUint(name, 0, 30)
			if err != nil {
				return nil, fmt.Errorf("system call %q: neither a known name nor a number", name)
			}
			call = uintptr(n)
		}
		rule := seccomp.Rule{Call: call, Errno: errnoOf(errno)}
		if rule.Errno == 0 {
			return nil, fmt.Errorf("%q is not the name of an errno", errno)
		}
		if limited {
			value, ok := commands[command]
			if !ok {
				return nil, fmt.Errorf("%q is no known command of %s", command, name)
			}
			rule.If = seccomp.Condition{Test: seccomp.Equal, Arg: 1, Value: value}
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// errnoOf returns the errno of a name, or 0.
func errnoOf(name string) unix.Errno {
	const maxErrno = 4095 // MAX_ERRNO of linux/err.h
	for e := unix.Errno(1); e <= maxErrno; e++ {
		if unix.ErrnoName(e) == name {
			return e
		}
	}
	return 0
}
