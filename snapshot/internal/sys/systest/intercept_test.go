package systest

import (
	"reflect"
	"syscall"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// Each call can be failed: its function returns the error of the hook, a count or descriptor of -1,
// and zero values for the rest, and the kernel is not called.
func TestEveryCallCanFail(t *testing.T) {
	for _, c := range sys.Calls {
		var called []string
		undo := Intercept(t, func(call string) error {
			called = append(called, call)
			return syscall.EXDEV
		})
		fn := reflect.ValueOf(c.Func).Elem()
		args := make([]reflect.Value, fn.Type().NumIn())
		for i := range args {
			args[i] = reflect.New(fn.Type().In(i)).Elem()
		}
		results := fn.Call(args)
		undo()
		last := results[len(results)-1].Interface()
		if last != syscall.EXDEV || len(called) != 1 || called[0] != c.Name {
			t.Errorf("%s: error %v, hook called for %q", c.Name, last, called)
		}
		for _, r := range results[:len(results)-1] {
			if r.Kind() == reflect.Int && r.Int() != -1 || r.Kind() != reflect.Int && !r.IsZero() {
				t.Errorf("%s: result %v beside an error", c.Name, r)
			}
		}
	}
}

// CountCalls counts a call, which returns what the kernel returns.
func TestCountCalls(t *testing.T) {
	count := CountCalls(t)
	got, err := sys.Fstat(0)
	if want, wantErr := syscalls.Fstat(0); (err == nil) != (wantErr == nil) || got.Ino != want.Ino {
		t.Errorf("inode %d, %v; the kernel says %d, %v", got.Ino, err, want.Ino, wantErr)
	}
	if n := count("fstat"); n != 1 {
		t.Errorf("fstat was counted %d times", n)
	}
}
