package syscalls_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// vmFlags returns what the kernel says of the mapping that b begins, as in proc_pid_smaps(5).
func vmFlags(t *testing.T, b []byte) []string {
	t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	must(t, err)
	_, rest, ok := strings.Cut("\n"+string(smaps), fmt.Sprintf("\n%x-", syscalls.Address(b)))
	_, rest, ok2 := strings.Cut(rest, "\nVmFlags:")
	if !ok || !ok2 {
		t.Fatal("not mapped")
	}
	line, _, _ := strings.Cut(rest, "\n")
	return strings.Fields(line)
}

//promise:syscalls.DontDump the memory is not in core dumps
func TestDontDump(t *testing.T) {
	each(t, func(t *testing.T, kind *mounttest.Kind, dir string) {
		b := mmap(t, newFile(t, dir, "file", zeros(page)), page, true)
		if flags := vmFlags(t, b); slices.Contains(flags, "dd") {
			t.Errorf("before: %q", flags)
		}
		must(t, syscalls.DontDump(b))
		if flags := vmFlags(t, b); !slices.Contains(flags, "dd") {
			t.Errorf("flags are %q", flags)
		}
		wantErr(t, syscalls.DontDump(b[1:]), "madvise DONTDUMP", syscall.EINVAL)
	})
}

//promise:syscalls.Munlock the memory is locked no more
func TestMunlock(t *testing.T) {
	b := mmap(t, newFile(t, mounttest.Dir(t, mounttest.Host), "file", zeros(page)), page, true)
	if err := unix.Mlock(b); err != nil {
		t.Skip(err) // RLIMIT_MEMLOCK may be 0
	}
	if flags := vmFlags(t, b); !slices.Contains(flags, "lo") {
		t.Errorf("before: %q", flags)
	}
	must(t, syscalls.Munlock(b))
	if flags := vmFlags(t, b); slices.Contains(flags, "lo") {
		t.Errorf("flags are %q", flags)
	}
}

//promise:syscalls.AddressLimit AddressLimit is RLIMIT_AS, and MaxInt64 without a limit
func TestAddressLimit(t *testing.T) {
	const env = "SYSCALLS_TEST_ADDRESS_LIMIT"
	if os.Getenv(env) != "" { // a child, whose limit ends with it
		limit, err := syscalls.AddressLimit()
		must(t, err)
		fmt.Printf("limit is %d\n", limit)
		return
	}
	for arg, want := range map[string]int64{"unlimited": math.MaxInt64, "137438953472": 1 << 47} {
		cmd := exec.Command("sh", "-c", `ulimit -v `+arg+` && exec "$0" "$@"`,
			os.Args[0], "-test.run=^TestAddressLimit$")
		cmd.Env = append(os.Environ(), env+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), fmt.Sprintf("limit is %d\n", want)) {
			t.Errorf("%s: %v, %s", arg, err, out)
		}
	}
}

//promise:syscalls.TryMemory TryMemory maps nothing, and more than there can be is ENOMEM
func TestTryMemory(t *testing.T) {
	before := addresses(t)
	must(t, syscalls.TryMemory(1<<30))
	if after := addresses(t); after > before+1<<29 {
		t.Errorf("%d bytes are mapped, %d before", after, before)
	}
	if err := syscalls.TryMemory(math.MaxInt64); !errors.Is(err, syscall.ENOMEM) {
		t.Error(err)
	}
	if err := syscalls.TryMemory(0); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
}

// addresses returns how many bytes are mapped.
func addresses(t *testing.T) (n int) {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	must(t, err)
	_, err = fmt.Sscan(string(statm), &n)
	must(t, err)
	return n * os.Getpagesize()
}
