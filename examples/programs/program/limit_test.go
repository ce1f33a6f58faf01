package program_test

import (
	"errors"
	"flag"
	"math"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

func TestLimit(t *testing.T) {
	for _, x := range []struct {
		flag    string
		archive int64
		sizes   []uint64
		ok      bool
	}{
		{"-limit=0", 0, []uint64{1 << 30}, true},
		{"-limit=0", 0, []uint64{1 << 30, 1}, false},
		{"-limit=0", 1 << 30, []uint64{100 << 30}, true},
		{"-limit=0", 1 << 30, []uint64{100<<30 + 1}, false},
		{"-limit=0", math.MaxInt64, []uint64{math.MaxInt64/100*100 + 1}, false},
		{"-limit=0", 0, []uint64{math.MaxUint64, 1}, false},
		{"-limit=0", 0, []uint64{math.MaxUint64, math.MaxUint64}, false},
		{"-limit=1", 1 << 30, []uint64{1 << 20}, true},
		{"-limit=1", 1 << 30, []uint64{1 << 20, 1}, false},
		{"-limit=8796093022207", 0, []uint64{math.MaxInt64}, false},
		{"-limit=8796093022207", 0, []uint64{math.MaxInt64 - (1<<20 - 1)}, true},
	} {
		flags := flag.NewFlagSet("prog", flag.ContinueOnError)
		limit := program.NewLimit(flags)
		if err := flags.Parse([]string{x.flag}); err != nil {
			t.Fatal(err)
		}
		if err := limit.Check(x.archive, x.sizes...); (err == nil) != x.ok {
			t.Errorf("%+v: %v", x, err)
		}
	}
	for _, bad := range []string{"-limit=-1", "-limit=8796093022208"} {
		flags := flag.NewFlagSet("prog", flag.ContinueOnError)
		limit := program.NewLimit(flags)
		exit := (*program.Exit)(nil)
		if err := flags.Parse([]string{bad}); err != nil {
			t.Fatal(err)
		}
		if err := limit.Check(0); !errors.As(err, &exit) || exit.Status != program.BadUsage {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
