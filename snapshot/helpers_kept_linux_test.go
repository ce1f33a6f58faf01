package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
	"golang.org/x/sys/unix"
)

// keptUser is the user that makes a commit.
type keptUser int

const (
	eachUser keptUser = iota
	byRoot
	byOther // an ordinary user
)

// A keptRow is an attribute of the table "Which attributes each way of committing keeps".
type keptRow struct {
	name string // as in the table
	by   keptUser

	// set gives a file the attribute. The opened file is made with i = 1, the target with i = 2.
	// errAbsent means that the filesystem does not have the attribute.
	set func(name string, i int) error
	// get returns the attribute, "" for none.
	get func(name string) (string, error)
	// fresh: a new file has another value than any file before it.
	fresh bool
}

var errAbsent = errors.New("not on this filesystem")

// statRow is an attribute that stat(2) returns.
func statRow(get func(st *unix.Stat_t) string) func(name string) (string, error) {
	return func(name string) (string, error) {
		var st unix.Stat_t
		err := unix.Lstat(name, &st)
		return get(&st), err
	}
}

// birthTime returns the time at which a file was made.
func birthTime(name string) (string, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &st)
	if errors.Is(err, errors.ErrUnsupported) || err == nil && st.Mask&unix.STATX_BTIME == 0 {
		err = errAbsent
	}
	return fmt.Sprint(st.Btime.Sec, st.Btime.Nsec), err
}

// attribute is an extended attribute; value returns the value for set.
func attribute(name string, value func(i int) []byte) (
	set func(file string, i int) error, get func(file string) (string, error),
) {
	set = func(file string, i int) error {
		err := unix.Setxattr(file, name, value(i), 0)
		if errors.Is(err, errors.ErrUnsupported) {
			err = errAbsent
		}
		return err
	}
	get = func(file string) (string, error) {
		value := make([]byte, 1<<10)
		n, err := unix.Getxattr(file, name, value)
		if err == unix.ENODATA || errors.Is(err, errors.ErrUnsupported) {
			return "", nil
		}
		return string(value[:max(n, 0)]), err
	}
	return set, get
}

// privileged is attribute for one that takes CAP_SYS_ADMIN to set.
func privileged(name string) (
	set func(file string, i int) error, get func(file string) (string, error),
) {
	set, get = attribute(name, text)
	if !mounttest.CanSetTrusted() {
		set = func(string, int) error { return errAbsent }
	}
	return set, get
}

func text(i int) []byte { return fmt.Appendf(nil, "value %d", i) }

// noDump is FS_NODUMP_FL of linux/fs.h.
const noDump = 0x40

// flagsOf returns the flags of chattr(1), and a function that sets them.
func flagsOf(name string) (flags uint32, set func(flags uint32) error, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	if flags, err = unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS); err != nil {
		return 0, nil, errAbsent
	}
	return flags, func(flags uint32) error {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags))
	}, nil
}

// keptRows returns the rows of the table, in its order.
func keptRows() []keptRow {
	number := func(get func(st *unix.Stat_t) uint64) func(name string) (string, error) {
		return statRow(func(st *unix.Stat_t) string { return fmt.Sprint(get(st)) })
	}
	chown := func(uid, gid int) func(name string, i int) error {
		return func(name string, i int) error {
			return os.Chown(name, max(uid*i, -1), max(gid*i, -1))
		}
	}
	setSetID := func(name string, i int) error { return syscall.Chmod(name, 0o755|uint32(i)<<10) }
	getSetID := statRow(func(st *unix.Stat_t) string {
		return strings.TrimLeft(fmt.Sprintf("%o", st.Mode&0o6000), "0")
	})
	setACL, getACL := attribute("system.posix_acl_access",
		func(i int) []byte { return acl(uint16(i)) })
	setUser, getUser := attribute("user.u", text)
	setLabel, getLabel := privileged("security.label")
	setTrusted, getTrusted := privileged("trusted.t")
	setCap, getCap := attribute("security.capability", func(int) []byte { return capNetRaw })
	return []keptRow{
		{"inode number", eachUser, func(string, int) error { return nil },
			number(func(st *unix.Stat_t) uint64 { return st.Ino }), true},
		{"owner", byRoot, chown(1000, -1),
			number(func(st *unix.Stat_t) uint64 { return uint64(st.Uid) }), false},
		{"group", byRoot, chown(-1, 1000),
			number(func(st *unix.Stat_t) uint64 { return uint64(st.Gid) }), false},
		{"mode", eachUser, func(name string, i int) error {
			return syscall.Chmod(name, 0o600|uint32(i)<<3)
		}, number(func(st *unix.Stat_t) uint64 { return uint64(st.Mode) }), false},
		{"set-id bits, with CAP_FSETID", byRoot, setSetID, getSetID, false},
		{"set-id bits, without CAP_FSETID", byOther, setSetID, getSetID, false},
		{"ACL", eachUser, setACL, getACL, false},
		{"user.* attributes", eachUser, setUser, getUser, false},
		{"security.* attributes, by root", byRoot, setLabel, getLabel, false},
		{"security.* attributes, by another user", byOther, setLabel, getLabel, false},
		{"trusted.* attributes, by root", byRoot, setTrusted, getTrusted, false},
		{"trusted.* attributes, by another user", byOther, setTrusted, getTrusted, false},
		{"file capabilities", eachUser, setCap, getCap, false},
		{"flags of chattr(1)", eachUser, func(name string, _ int) error {
			flags, set, err := flagsOf(name)
			if err != nil {
				return err
			}
			return set(flags | noDump)
		}, func(name string) (string, error) {
			flags, _, err := flagsOf(name)
			return strings.TrimLeft(fmt.Sprint(flags&noDump), "0"), err
		}, false},
		{"modification time", eachUser, func(name string, i int) error {
			return os.Chtimes(name, time.Time{}, time.Unix(int64(i), 0))
		}, statRow(func(st *unix.Stat_t) string { return fmt.Sprint(st.Mtim) }), true},
		{"birth time", eachUser, func(name string, i int) error {
			if _, err := birthTime(name); err != nil {
				return err
			}
			if i == 2 {
				time.Sleep(syscalls.ClockTick) // later files have another time
			}
			return nil
		}, birthTime, true},
	}
}

// A keptWay is a way of committing: it opens the file "opened" in dir, or creates a file, and
// returns the name of the file that the commit made or changed.
type keptWay struct {
	column int
	name   string
	do     func(dir string) (result string, err error)
}

// keptColumns are the columns of the table.
var keptColumns = []string{"Commit", "new name", "replaced", "created", "InPlace"}

// A keptCommit is one form of committing to the file that has the name.
type keptCommit func(m *snapshot.MmapMut, name string) error

// keptWays returns the ways of committing by the columns of the table.
func keptWays() []keptWay {
	change := func(m *snapshot.MmapMut, err error, commit keptCommit, name string) (string, error) {
		if err != nil {
			return "", err
		}
		err = errors.Join(m.Resize(200), commit(m, name))
		if cerr := m.Close(); !errors.Is(cerr, fs.ErrClosed) {
			err = errors.Join(err, cerr)
		}
		return name, err
	}
	opened := func(
		c snapshot.Config, result string, commit keptCommit,
	) func(string) (string, error) {
		return func(dir string) (string, error) {
			m, err := c.OpenMut(context.Background(), join(dir, "opened"))
			return change(m, err, commit, join(dir, result))
		}
	}
	created := func(result string, commit keptCommit) func(string) (string, error) {
		return func(dir string) (string, error) {
			m, err := snapshot.Create(join(dir, result))
			return change(m, err, commit, join(dir, result))
		}
	}
	commit := func(m *snapshot.MmapMut, _ string) error { return m.Commit() }
	andClose := func(m *snapshot.MmapMut, _ string) error { return m.CommitAndClose() }
	var c snapshot.Config
	return []keptWay{
		{0, "Commit", opened(c, "opened", commit)},
		{0, "CommitAndClose", opened(c, "opened", andClose)},
		{1, "CommitTo", opened(c, "new", (*snapshot.MmapMut).CommitTo)},
		{1, "Link", opened(c, "new", (*snapshot.MmapMut).Link)},
		{2, "CommitTo", opened(c, "target", (*snapshot.MmapMut).CommitTo)},
		{2, "Create, Commit", created("target", commit)},
		{2, "Create, CommitAndClose", created("target", andClose)},
		{3, "Create, Commit", created("new", commit)},
		{3, "Create, CommitAndClose", created("new", andClose)},
		{4, "Commit", opened(inPlace, "opened", commit)},
		{4, "CommitAndClose", opened(inPlace, "opened", andClose)},
	}
}
