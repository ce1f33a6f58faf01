package mounttest

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// capabilities are those that tests ask for; constant.
var capabilities = map[string]int{
	"CAP_CHOWN":           unix.CAP_CHOWN,
	"CAP_DAC_OVERRIDE":    unix.CAP_DAC_OVERRIDE,
	"CAP_FOWNER":          unix.CAP_FOWNER,
	"CAP_FSETID":          unix.CAP_FSETID,
	"CAP_LEASE":           unix.CAP_LEASE,
	"CAP_LINUX_IMMUTABLE": unix.CAP_LINUX_IMMUTABLE,
	"CAP_MKNOD":           unix.CAP_MKNOD,
	"CAP_SETFCAP":         unix.CAP_SETFCAP,
	"CAP_SETGID":          unix.CAP_SETGID,
	"CAP_SETUID":          unix.CAP_SETUID,
	"CAP_SYS_ADMIN":       unix.CAP_SYS_ADMIN,
	"CAP_SYS_RESOURCE":    unix.CAP_SYS_RESOURCE,
}

// ofUsers are those that are about other users.
var ofUsers = []string{"CAP_CHOWN", "CAP_SETGID", "CAP_SETUID"}

// lacks returns the first of the capabilities that this process has no use of, and why, or nothing.
func lacks(names ...string) (reason string) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	err := unix.Capget(&header, &data[0])
	for _, name := range names {
		number, ok := capabilities[name]
		if !ok {
			panic(fmt.Sprintf("mounttest: no capability %q", name))
		}
		if err != nil || data[number/32].Effective&(1<<(number%32)) == 0 {
			return "no " + name
		}
		if slices.Contains(ofUsers, name) && (!nobodyMapped("uid_map") || !nobodyMapped("gid_map")) {
			return fmt.Sprintf("no user and group %d in this user namespace", nobody)
		}
	}
	return ""
}

// nobodyMapped reports whether the user namespace of this process has the user, or the group, of
// AsUser. Without /proc it says yes.
func nobodyMapped(file string) bool {
	b, err := os.ReadFile("/proc/self/" + file)
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(b)) {
		var inside, outside, length uint64
		_, err := fmt.Sscan(line, &inside, &outside, &length)
		if err == nil && inside <= nobody && nobody < inside+length {
			return true
		}
	}
	return false
}

// namespaceIsFirst reports whether this process is in the first user namespace, whose inode number
// is constant (PROC_USER_INIT_INO of linux/proc_ns.h).
func namespaceIsFirst() bool {
	link, err := os.Readlink("/proc/self/ns/user")
	return err == nil && link == "user:[4026531837]"
}
