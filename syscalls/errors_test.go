package syscalls_test

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// A signal is no reason for the caller to notice anything, however often it comes.
//
//promise:syscalls a call that a signal interrupts (EINTR) is made again
func TestDoRetriesEINTR(t *testing.T) {
	results := []error{syscall.EINTR, syscall.EINTR, nil, syscall.EIO}
	calls := 0
	err := syscalls.Do("call", func() error {
		calls++
		return results[calls-1]
	})
	if err != nil || calls != 3 {
		t.Errorf("error %v after %d calls, want none after 3", err, calls)
	}
}

//promise:syscalls a failure is an *os.SyscallError that names the call and holds the errno
func TestDoNamesTheCall(t *testing.T) {
	for _, test := range []struct {
		result error
		errno  syscall.Errno // its text differs between systems
		is     []error
		not    []error
	}{
		{syscall.ENOENT, syscall.ENOENT,
			[]error{syscall.ENOENT, fs.ErrNotExist}, []error{errors.ErrUnsupported}},
		{syscall.EEXIST, syscall.EEXIST,
			[]error{syscall.EEXIST, fs.ErrExist}, []error{errors.ErrUnsupported}},
		// Go's own word for these is ErrUnsupported already.
		{syscall.ENOSYS, syscall.ENOSYS,
			[]error{syscall.ENOSYS, errors.ErrUnsupported}, nil},
		{syscalls.OrUnsupported(syscall.EXDEV, syscall.EXDEV), syscall.EXDEV,
			[]error{syscall.EXDEV, errors.ErrUnsupported}, []error{syscall.EINVAL, fs.ErrPermission}},
		{syscalls.OrUnsupported(syscall.EPERM, syscall.EXDEV, syscall.EPERM), syscall.EPERM,
			[]error{syscall.EPERM, fs.ErrPermission, errors.ErrUnsupported}, nil},
		{syscalls.OrUnsupported(syscall.EIO, syscall.EXDEV), syscall.EIO,
			[]error{syscall.EIO}, []error{errors.ErrUnsupported, syscall.EXDEV}},
	} {
		calls := 0
		err := syscalls.Do("call", func() error {
			calls++
			return test.result
		})
		if calls != 1 {
			t.Errorf("%v: %d calls, want 1", test.result, calls)
		}
		if want := "call: " + test.errno.Error(); err == nil || err.Error() != want {
			t.Errorf("%v: error %q, want %q", test.result, err, want)
		}
		if named, ok := err.(*os.SyscallError); !ok || named.Syscall != "call" { //nolint:errorlint // the outermost names the call
			t.Errorf("%v: %#v, want a *os.SyscallError that names the call", test.result, err)
		}
		var errno syscall.Errno
		if !errors.As(err, &errno) || errno != test.errno {
			t.Errorf("%v: the errno is %v", test.result, errno)
		}
		for _, is := range test.is {
			if !errors.Is(err, is) {
				t.Errorf("%v: not %v", err, is)
			}
		}
		for _, not := range test.not {
			if errors.Is(err, not) {
				t.Errorf("%v: is %v", err, not)
			}
		}
	}
}

func TestOrUnsupportedPasses(t *testing.T) {
	if err := syscalls.OrUnsupported(nil, syscall.EXDEV); err != nil {
		t.Errorf("success became %v", err)
	}
	other := errors.New("other")
	if err := syscalls.OrUnsupported(other, syscall.EXDEV); err != other { //nolint:errorlint // unchanged is promised
		t.Errorf("%v became %v", other, err)
	}
}

//promise:syscalls.AddrOffset AddrOffset finds an address within the bytes and no other address
func TestAddrOffset(t *testing.T) {
	all := make([]byte, 64)
	b := all[16:48]
	for i := range all {
		off, ok := syscalls.AddrOffset(b, syscalls.Address(all)+uintptr(i))
		wantOff, wantOK := i-16, i >= 16 && i < 48
		if !wantOK {
			wantOff = 0
		}
		if off != wantOff || ok != wantOK {
			t.Errorf("byte %d of all is %d, %t of bytes 16 to 47, want %d, %t", i, off, ok, wantOff, wantOK)
		}
	}
	for _, addr := range []uintptr{0, ^uintptr(0)} {
		if off, ok := syscalls.AddrOffset(b, addr); ok || off != 0 {
			t.Errorf("address %#x is %d, %t", addr, off, ok)
		}
	}
	for _, none := range [][]byte{nil, {}, b[:0]} {
		if _, ok := syscalls.AddrOffset(none, syscalls.Address(none)); ok {
			t.Errorf("something lies in a slice of length 0")
		}
	}
}
