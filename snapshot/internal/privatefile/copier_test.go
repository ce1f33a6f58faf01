package privatefile

import (
	"bytes"
	"testing"
	"time"
)

// Chunks become larger where they are quick, so that there are few, and smaller where they are
// slow, so that the context and the lease are looked at in time.
//
//promise:snapshot.Config.Open the copy takes some ten milliseconds for each chunk
func TestChunks(t *testing.T) {
	const kib, mib = 1 << 10, 1 << 20
	for _, x := range []struct {
		size int64
		took time.Duration
		want int64
	}{
		{256 * kib, 0, 512 * kib},
		{256 * kib, 9 * time.Millisecond, 512 * kib},
		{256 * kib, 10 * time.Millisecond, 256 * kib},
		{256 * kib, 50 * time.Millisecond, 256 * kib},
		{256 * kib, 51 * time.Millisecond, 128 * kib},
		{32 * mib, 0, 32 * mib},
		{64 * kib, time.Hour, 64 * kib},
	} {
		c := Copier{chunk: x.size}
		c.adapt(x.took)
		if c.chunk != x.want {
			t.Errorf("after %d bytes in %v: %d, want %d", x.size, x.took, c.chunk, x.want)
		}
	}
}

// A copy leaves out whole blocks of zeros, and a shorter one at the end. It keeps zeros in a block
// with other bytes.
func TestNextBlocks(t *testing.T) {
	const block = len(zeroBlock)
	zeros := func(n int) []byte { return make([]byte, n) }
	data := func(n int) []byte { return append(zeros(n-1), 1) }
	for _, x := range []struct {
		p           [][]byte
		zeros, data int
	}{
		{nil, 0, 0},
		{[][]byte{zeros(1)}, 1, 0},
		{[][]byte{zeros(2*block + 1)}, 2*block + 1, 0},
		{[][]byte{data(1)}, 0, 1},
		{[][]byte{zeros(block), data(block), data(block), zeros(block)}, block, 2 * block},
		{[][]byte{data(2), zeros(2*block - 2), data(1)}, 0, block},
		{[][]byte{zeros(block - 1), data(1), data(1)}, 0, block + 1},
	} {
		p := bytes.Join(x.p, nil)
		if zeros, data := nextBlocks(p); zeros != x.zeros || data != x.data {
			t.Errorf("%d bytes: %d, %d, want %d, %d", len(p), zeros, data, x.zeros, x.data)
		}
	}
}
