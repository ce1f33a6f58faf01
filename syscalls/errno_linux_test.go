package syscalls_test

import (
	"errors"
	"fmt"
	"go/ast"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// errors.ErrUnsupported is in the error for those errnos that allow the caller to try another way,
// and for no other. A filter makes the errnos, because this kernel and these filesystems return few
// of them.
//
//promise:syscalls an error is errors.ErrUnsupported exactly if its errno asks for another way
func TestUnsupportedErrnos(t *testing.T) {
	f, check := newFiles(t)
	always := errnos{syscall.ENOSYS, syscall.EOPNOTSUPP}
	never := errnos{syscall.EBADF, syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.ETXTBSY,
		syscall.EAGAIN, syscall.EROFS, syscall.ENOMEM}
	for _, c := range calls {
		if c.number == none {
			continue
		}
		t.Run(c.function, func(t *testing.T) {
			unsupported := slices.Concat(c.unsupported, always)
			for _, errno := range slices.Concat(unsupported, c.failures, never) {
				want := wantErr
				if slices.Contains(unsupported, errno) {
					want = wantUnsupported
				}
				var others []refusal
				if c.second != 0 {
					others = append(others, refusal{c.second, -1, 0, errno})
				}
				first := refusal{c.number, -1, 0, errno}
				err := refused(t, first, func() error { return c.do(&f) }, others...)
				want(t, err, c.name, errno)
			}
		})
	}
	check()
}

// A descriptor that is not open is EBADF, whichever argument it is, and no other descriptor is
// closed.
//
//promise:syscalls a bad descriptor is EBADF, and no descriptor is closed
func TestBadDescriptor(t *testing.T) {
	f, check := newFiles(t)
	lacking := map[string]bool{}
	for name := range probes {
		lacking[name] = lacks(t, name)
	}
	gone, err := unix.Dup(f.fds[0])
	must(t, err)
	must(t, unix.Close(gone)) // nothing below opens a descriptor that stays open
	const minInt = -1 << 31
	for _, bad := range []int{-1, gone, 1 << 30, minInt} {
		for _, c := range calls {
			if lacking[c.needs] {
				t.Logf("%s is left out: this kernel lacks %s", c.function, c.needs)
				continue
			}
			all := files{fds: [3]int{bad, bad, bad}, mem: f.mem}
			err := c.do(&all)
			for i, used := range all.used {
				if !used {
					continue
				}
				wantBad(t, c, fmt.Sprintf("all descriptors are %d", bad), err)
				one := f
				one.fds[i] = bad
				wantBad(t, c, fmt.Sprintf("descriptor %d is %d", i, bad), c.do(&one))
			}
		}
	}
	check()
}

func wantBad(t *testing.T, c call, how string, err error) {
	t.Helper()
	want := syscall.EBADF
	if c.bad != 0 {
		want = c.bad
	}
	named, ok := err.(*os.SyscallError) //nolint:errorlint // the outermost names the call
	if !ok || named.Syscall != c.name || !errors.Is(err, want) ||
		errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%s, %s: error is %v (%T), want that of %s with %v",
			c.function, how, err, err, c.name, want)
	}
}

// Each function that takes a number, as descriptors are, has a call in the list.
func TestAllCallsAreDescribed(t *testing.T) {
	described := map[string]bool{}
	for _, c := range calls {
		function, _, _ := strings.Cut(c.function, " ")
		described[function] = true
	}
	portable, _, _ := functions(t)
	for name, f := range portable {
		if !ast.IsExported(name) || !returns(f, "error") || !takes(f, "int") {
			continue
		}
		if !described[name] {
			t.Errorf("no file of tests describes %s", name)
		}
		delete(described, name)
	}
	for name := range described {
		if portable[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
}

// takes reports whether f has a parameter of the type.
func takes(f *ast.FuncDecl, typ string) bool {
	for _, p := range f.Type.Params.List {
		if isType(p.Type, typ) {
			return true
		}
	}
	return false
}
