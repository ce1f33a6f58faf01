package mounttest

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const loopControl = "/dev/loop-control"

// attachSparse returns a loop device over a new sparse image of size bytes.
func attachSparse(size int64) (*os.File, error) {
	image, err := unnamedFile()
	if err != nil {
		return nil, err
	}
	defer image.Close() // the device keeps it
	if err := image.Truncate(size); err != nil {
		return nil, err
	}
	return attach(image, 0)
}

// attach returns a loop device over image, which it gives up when it is closed and
// not mounted.
func attach(image *os.File, flags uint32) (*os.File, error) {
	control, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	config := unix.LoopConfig{
		Fd:   uint32(image.Fd()),
		Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR | flags},
	}
	for try := range 100 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, os.NewSyscallError("LOOP_CTL_GET_FREE", err)
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		device.Close()
		// The free device was another's by the time of configuring it.
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("LOOP_CONFIGURE %s: %w", device.Name(), err)
		}
		time.Sleep(time.Duration(try) * time.Millisecond)
	}
	return nil, errors.New("no loop device is free for long enough to take it")
}

// unnamedFile returns a file that is gone when no one has it open.
func unnamedFile() (*os.File, error) {
	fd, err := unix.Open(os.TempDir(), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), "image"), nil
	}
	// Not every filesystem can: NFS, for one.
	f, err := os.CreateTemp("", "image-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
