package mounttest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// A fakeTB records what a test would have come to.
type fakeTB struct {
	testing.TB
	cleanups []func()
	failed   string
	skipped  string
	panics   bool // where a test would end the goroutine
}

// fake runs f as a test of its own, with its clean-ups.
func fake(t *testing.T, f func(tb testing.TB)) *fakeTB {
	t.Helper()
	tb := &fakeTB{TB: t}
	tb.apart(func() { f(tb) })
	for len(tb.cleanups) > 0 {
		last := len(tb.cleanups) - 1
		cleanup := tb.cleanups[last]
		tb.cleanups = tb.cleanups[:last]
		tb.apart(cleanup)
	}
	return tb
}

// apart lets f end by runtime.Goexit.
func (tb *fakeTB) apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func (tb *fakeTB) Helper()          {}
func (tb *fakeTB) Cleanup(f func()) { tb.cleanups = append(tb.cleanups, f) }

func (tb *fakeTB) Errorf(format string, args ...any) { tb.failed += fmt.Sprintf(format, args...) }

func (tb *fakeTB) Error(args ...any) { tb.Errorf("%s", fmt.Sprint(args...)) }

func (tb *fakeTB) Fatal(args ...any) { tb.Fatalf("%s", fmt.Sprint(args...)) }

func (tb *fakeTB) Fatalf(format string, args ...any) {
	tb.Errorf(format, args...)
	tb.end()
}

func (tb *fakeTB) Skip(args ...any) { tb.Skipf("%s", fmt.Sprint(args...)) }

func (tb *fakeTB) Skipf(format string, args ...any) {
	tb.skipped = fmt.Sprintf(format, args...)
	tb.end()
}

func (tb *fakeTB) end() {
	if tb.panics {
		panic("ended")
	}
	runtime.Goexit()
}

// wantFailure checks that the test failed and said so.
func (tb *fakeTB) wantFailure(t *testing.T, say string) {
	t.Helper()
	if say == "" || !strings.Contains(tb.failed, say) {
		t.Errorf("failed with %q, want %q", tb.failed, say)
	}
}
