package interleave

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Every way has its turn in every round, and another begins each time.
func TestTurns(t *testing.T) {
	var order []string
	way := func(name string) Way {
		return Way{Name: name, Before: func() {}, Do: func(int) { order = append(order, name) }}
	}
	Comparison{Ways: []Way{way("a"), way("b")}}.Run(3)
	if want := []string{"a", "b", "b", "a", "a", "b"}; !slices.Equal(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
}

// A turn that takes longer than others does not count for the least time.
func TestLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := []time.Duration{5, 3, 9}
		r := Comparison{Ways: []Way{{Name: "a", Before: func() {}, Do: func(int) {
			time.Sleep(turns[0])
			turns = turns[1:]
		}}}}.Run(3)
		if r.Least("a") != 3 || r.Ns("a") != 5 {
			t.Errorf("least %v, median %v", r.Least("a"), r.Ns("a"))
		}
	})
}

// A first operation that takes long does not make the turns shorter.
func TestStallAtTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, ops := 0, 0
		Comparison{Ways: []Way{{Name: "a", Do: func(n int) {
			calls++
			ops = n
			if calls == 1 {
				time.Sleep(2 * turn)
			}
			time.Sleep(time.Duration(n) * turn / 100)
		}}}}.Run(1)
		if ops != 128 {
			t.Errorf("%d operations in a turn, want 128", ops)
		}
	})
}

// What comes before a turn does not count, and a batch is divided by its length.
func TestTimes(t *testing.T) {
	sleep := func(d time.Duration) func(int) {
		return func(n int) {
			if n != 10 {
				t.Errorf("%d operations in a batch", n)
			}
			time.Sleep(d)
		}
	}
	slow := func() { time.Sleep(60 * time.Millisecond) }
	synctest.Test(t, func(t *testing.T) { // where a sleep takes exactly its time
		r := Comparison{Batch: 10, Ways: []Way{
			{Name: "long", Do: sleep(60 * time.Millisecond), Before: func() {}},
			{Name: "short", Do: sleep(time.Millisecond), Before: slow},
		}}.Run(7)
		if ns := r.Ns("long"); ns != 6e6 {
			t.Errorf("an operation of the long way takes %v ns", ns)
		}
		if ratio := r.Ratio("long", "short"); ratio != 60 {
			t.Errorf("a ratio of %v", ratio)
		}
	})
}

func TestMedian(t *testing.T) {
	for _, x := range []struct {
		of   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 100, 1, 2}, 3}} {
		if got := Median(x.of); got != x.want {
			t.Errorf("Median(%v) = %v, want %v", x.of, got, x.want)
		}
	}
}
