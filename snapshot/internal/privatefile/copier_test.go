package privatefile

import (
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
