package lease

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/privatefile"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var breakTimeFlag = flag.Bool("breaktime", false,
	"the test may rely on fs.lease-break-time being 1: a lease can run out")

const (
	tortureEnv  = "LEASE_TORTURE" // the file that this process, a reader, is to read
	unfencedEnv = "LEASE_UNFENCED"
	tortureSize = 4 << 20 // its copy takes long enough to be interrupted
)

// A process that reads is stopped or frozen again and again, for longer than the kernel keeps writers
// waiting, while others write: no read has words of two versions. Without the fence, some have; that
// is reported, since it takes luck.
//
//	.ci/run leases
func TestStoppedReaders(t *testing.T) {
	if name := os.Getenv(tortureEnv); name != "" {
		tortured(t, name)
		return
	}
	if !*breakTimeFlag {
		t.Skip("it needs fs.lease-break-time=1 of the whole machine: .ci/run leases")
	}
	if !limits.refresh() || limits.maxData.Load() != maxDataAtDefault/defaultBreakTime {
		t.Fatal("fs.lease-break-time is not 1")
	}
	for _, test := range []struct {
		what  string
		pause func(t *testing.T, pid int) (stop, cont func() error)
		env   string // of the child
	}{
		{"stopped", stopProcess, ""},
		{"frozen", freezeProcess, ""},
		{"control", stopProcess, unfencedEnv + "=1"},
	} {
		t.Run(test.what, func(t *testing.T) {
			mounttest.Leaks(t)
			r := torture(t, test.pause, test.env)
			t.Logf("%d reads, %d snapshots, %d lost, %d torn", r.reads, r.snapshots, r.lost, r.torn)
			if r.torn > 0 && test.env == "" {
				t.Errorf("%d reads have words of two versions", r.torn)
			}
			if r.reads == 0 {
				t.Error("nothing was read")
			}
		})
	}
}

type tortureResult struct{ reads, snapshots, lost, torn int }

// torture lets a child process read a file, pauses it, and writes to the file.
func torture(
	t *testing.T, pause func(t *testing.T, pid int) (stop, cont func() error), env string,
) (r tortureResult) {
	name := filepath.Join(mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks), "f")
	must(t, os.WriteFile(name, versionOf(1), 0o644))
	child := exec.Command(os.Args[0], "-test.run=^TestStoppedReaders$")
	child.Env = append(os.Environ(), tortureEnv+"="+name, env)
	if env != "" { // a read that goes on is then checked before the watcher has noticed anything
		child.Env = append(child.Env, "GOMAXPROCS=1")
	}
	child.Stderr = os.Stderr
	end, err := child.StdinPipe()
	must(t, err)
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	stop, cont := pause(t, child.Process.Pid)

	begin, took := time.Now(), time.Duration(mounttest.Count(10, 15, 300))*time.Second
	for version := uint64(2); time.Since(begin) < took; version++ {
		// Either the process is stopped while it reads the file itself, since no writer has come, and
		// goes on when one has come and gone. Or a writer comes at any moment.
		written := make(chan struct{})
		write := func() {
			defer close(written)
			writeVersion(t, name, version)
		}
		sharp := rand.IntN(3) > 0
		time.Sleep(time.Duration(5+rand.IntN(30)) * time.Millisecond)
		if !sharp {
			go write()
			time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
		}
		must(t, stop())
		if sharp {
			write()
		} else {
			time.Sleep(time.Duration(600+rand.IntN(1200)) * time.Millisecond)
		}
		must(t, cont())
		<-written
	}
	must(t, end.Close())
	for lines := bufio.NewScanner(out); lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "result %d %d %d %d", &r.reads, &r.snapshots, &r.lost, &r.torn)
	}
	must(t, child.Wait())
	return r
}

func stopProcess(t *testing.T, pid int) (stop, cont func() error) {
	return func() error { return syscall.Kill(pid, syscall.SIGSTOP) },
		func() error { return syscall.Kill(pid, syscall.SIGCONT) }
}

// freezeProcess puts the process into a control group of its own, which it freezes.
func freezeProcess(t *testing.T, pid int) (stop, cont func() error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	for line := range strings.Lines(string(mounts)) {
		mount, kind, _ := strings.Cut(strings.TrimSpace(line), " - ")
		file, frozen, thawed := "cgroup.freeze", "1", "0"
		if strings.HasPrefix(kind, "cgroup ") && strings.HasSuffix(kind, "freezer") {
			file, frozen, thawed = "freezer.state", "FROZEN", "THAWED"
		} else if !strings.HasPrefix(kind, "cgroup2 ") {
			continue
		}
		group, err := os.MkdirTemp(strings.Fields(mount)[4], "lease-test")
		if err != nil {
			continue
		}
		set := func(value string) func() error {
			return func() error {
				f, err := os.OpenFile(filepath.Join(group, file), os.O_WRONLY, 0)
				if err == nil {
					_, err = f.WriteString(value)
					_ = f.Close()
				}
				return err
			}
		}
		t.Cleanup(func() {
			waitUntil(t, "the control group is empty", func() bool { return os.Remove(group) == nil })
		})
		procs, err := os.OpenFile(filepath.Join(group, "cgroup.procs"), os.O_WRONLY, 0)
		if err == nil {
			_, err = procs.WriteString(fmt.Sprint(pid))
			_ = procs.Close()
		}
		if err == nil && set(thawed)() == nil {
			t.Cleanup(func() { _ = set(thawed)() })
			return set(frozen), set(thawed)
		}
	}
	t.Skip("no control group can be made that can be frozen")
	return nil, nil
}

// versionOf returns contents each word of which is the version.
func versionOf(version uint64) []byte {
	b := make([]byte, tortureSize)
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], version)
	}
	return b
}

// writeVersion replaces the contents in one of several ways.
func writeVersion(t *testing.T, name string, version uint64) {
	b := versionOf(version)
	flag := os.O_WRONLY
	switch rand.IntN(8) {
	case 0:
		flag |= os.O_TRUNC
	case 1:
		must(t, os.WriteFile(name+"2", b, 0o644))
		must(t, os.Rename(name+"2", name))
		return
	case 2:
		f, err := os.OpenFile(name, os.O_RDONLY|os.O_TRUNC, 0) // waits for no lease
		must(t, err)
		must(t, f.Close())
	}
	f, err := os.OpenFile(name, flag, 0)
	must(t, err)
	for off := 0; off < len(b); off += 1 << 20 {
		_, err := f.WriteAt(b[off:off+1<<20], int64(off))
		must(t, err)
	}
	must(t, f.Close())
}

// tortured is the child: it reads, and checks each word, until its standard input ends.
func tortured(t *testing.T, name string) {
	if os.Getenv(unfencedEnv) != "" {
		readClock = func() time.Duration { return 0 } // before any look
	}
	ended := make(chan struct{})
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		close(ended)
	}()
	var r tortureResult
	for p := make([]byte, tortureSize); ; {
		select {
		case <-ended:
			fmt.Printf("result %d %d %d %d\n", r.reads, r.snapshots, r.lost, r.torn)
			return
		default:
		}
		s, err := tryOpen(context.Background(), t, name, inMemory)
		if err != nil || s.Stat().Size != tortureSize { // a writer has it, or has truncated it
			if s != nil {
				must(t, s.Close())
			}
			runtime.Gosched()
			continue
		}
		r.snapshots++
		r.readMany(t, s, p)
		must(t, s.Close())
	}
}

// readMany reads all of a snapshot some times.
func (r *tortureResult) readMany(t *testing.T, s *Snapshot, p []byte) {
	want, after := uint64(0), 0
	for range 60 {
		var err error
		if !s.TryRead(p, 0) {
			p, err = read(s)
		}
		if errors.Is(err, privatefile.ErrUnstable) {
			r.lost++
			return
		}
		must(t, err)
		r.reads++
		if want == 0 {
			want = binary.LittleEndian.Uint64(p)
		}
		if same := strings.Repeat(string(binary.LittleEndian.AppendUint64(nil, want)), 512); !isAll(p, same) {
			r.torn++
		}
		if !s.IsOriginal() {
			after++
		}
		if after == 3 {
			return // nothing that happens to the file matters any more
		}
	}
}

// isAll reports whether p is a repetition of the part.
func isAll(p []byte, part string) bool {
	for i := 0; i < len(p); i += len(part) {
		if string(p[i:i+len(part)]) != part {
			return false
		}
	}
	return true
}
