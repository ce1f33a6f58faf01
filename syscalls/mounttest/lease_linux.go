package mounttest

import (
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// leaseSignals counts the signals given to holders of leases.
var leaseSignals atomic.Uint32

// leaseSignal returns a real-time signal, another one than for the last 27 holders. The first ones
// are for C libraries.
func leaseSignal() syscall.Signal {
	const first, number = 36, 28
	return syscall.Signal(first + leaseSignals.Add(1)%number)
}

func holdLease(tb testing.TB, name string, answer func(giveUp, retake func())) (asked func() int) {
	tb.Helper()
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		tb.Fatalf("mounttest: open %s: %v", name, err)
	}
	sig, signals := leaseSignal(), make(chan os.Signal, 1)
	signal.Notify(signals, sig)
	if err := takeWriteLease(fd, sig); err != nil {
		signal.Stop(signals)
		_ = unix.Close(fd)
		tb.Fatalf("mounttest: lease on %s: %v", name, err)
	}
	report := func(err error) {
		if err != nil {
			tb.Errorf("mounttest: lease on %s: %v", name, err)
		}
	}
	giveUp := func() {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK)
		report(err)
	}
	retake := func() {
		giveUp()
		err := takeWriteLease(fd, sig)
		// The error is EAGAIN while an open is about to fail, or has succeeded.
		for try := 0; err == unix.EAGAIN && try < 1000; try++ {
			time.Sleep(time.Duration(try) * time.Microsecond)
			err = takeWriteLease(fd, sig)
		}
		report(err)
	}
	var count atomic.Int64
	var holder sync.WaitGroup
	holder.Go(func() {
		for range signals {
			count.Add(1)
			if answer != nil {
				answer(giveUp, retake)
			}
		}
	})
	tb.Cleanup(func() {
		signal.Stop(signals)
		close(signals)
		holder.Wait()
		_ = unix.Close(fd)
	})
	return func() int { return int(count.Load()) }
}

// takeWriteLease takes a write lease, for which the kernel asks by the signal. Giving it up resets
// the signal and its receiver.
func takeWriteLease(fd int, sig syscall.Signal) error {
	for _, set := range []struct{ cmd, arg int }{
		{unix.F_SETOWN, os.Getpid()}, // by default, the calling thread, which can end
		{unix.F_SETSIG, int(sig)},
		{unix.F_SETLEASE, unix.F_WRLCK},
	} {
		if _, err := unix.FcntlInt(uintptr(fd), set.cmd, set.arg); err != nil {
			return err
		}
	}
	return nil
}
