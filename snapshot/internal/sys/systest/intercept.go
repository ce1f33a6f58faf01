package systest

import (
	"errors"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// hook is called ahead of every call of the kernel, with its name; an error it returns is the
// call's. It stays in front for good, because cleanups and the sweeper call the kernel on
// goroutines of their own, at any time; hook does not get their calls.
var hook atomic.Pointer[func(call string) error]

// noTmpfile makes O_TMPFILE unknown where it would make a file that can get a name.
var noTmpfile atomic.Bool

func init() {
	for _, c := range sys.Calls {
		wrap(c.Func, func() error {
			if c.Name == "tmpfile" && noTmpfile.Load() {
				return errors.ErrUnsupported
			}
			if before := hook.Load(); before != nil && !inBackground(c.Name) {
				return (*before)(c.Name)
			}
			return nil
		})
	}
}

// wrap puts before in front of the function that call points to. If before returns an error, that
// is the function's, beside -1 for a descriptor or count.
func wrap(call any, before func() error) {
	variable := reflect.ValueOf(call).Elem()
	real := reflect.ValueOf(variable.Interface())
	typ := variable.Type()
	variable.Set(reflect.MakeFunc(typ, func(args []reflect.Value) []reflect.Value {
		err := before()
		if err == nil {
			return real.Call(args)
		}
		results := make([]reflect.Value, typ.NumOut())
		for i := range results {
			results[i] = reflect.New(typ.Out(i)).Elem()
			if results[i].Kind() == reflect.Int {
				results[i].SetInt(-1)
			}
		}
		results[len(results)-1].Set(reflect.ValueOf(err))
		return results
	}))
}

// inBackground reports whether a cleanup or the sweeper makes a call.
func inBackground(call string) bool {
	switch call {
	case "munmap", "mmap none", "mincore", "writebackfailed":
	default:
		return false
	}
	var stack [64]uintptr
	frames := runtime.CallersFrames(stack[:runtime.Callers(1, stack[:])])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, ".finalize") || strings.HasSuffix(f.Function, "(*sweeper).add.func1") {
			return true
		}
		if !more {
			return false
		}
	}
}

// Intercept has before called, with its name, ahead of every call of the kernel; an error it
// returns is the call's. It lasts until the test ends or undo is called.
func Intercept(tb testing.TB, before func(call string) error) (undo func()) {
	old := hook.Swap(&before)
	undo = sync.OnceFunc(func() { hook.Store(old) })
	tb.Cleanup(undo)
	return undo
}

// CountCalls counts the calls of the kernel from now on.
func CountCalls(tb testing.TB) (calls func(name string) int) {
	var mu sync.Mutex
	counts := map[string]int{}
	Intercept(tb, func(call string) error {
		mu.Lock()
		defer mu.Unlock()
		counts[call]++
		return nil
	})
	return func(name string) int {
		mu.Lock()
		defer mu.Unlock()
		return counts[name]
	}
}

// NoTmpfile lets directories know no O_TMPFILE until undo is called; TempDir still does.
func NoTmpfile() (undo func()) {
	noTmpfile.Store(true)
	return func() { noTmpfile.Store(false) }
}

// NoPauses has attempts follow each other at once, as nothing else is to act meanwhile, until the
// test ends.
func NoPauses(tb testing.TB) {
	real := retry.After
	retry.After = func(time.Duration) <-chan time.Time { return real(0) }
	tb.Cleanup(func() { retry.After = real })
}
