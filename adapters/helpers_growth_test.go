package adapters_test

import (
	"bytes"
	"encoding/binary"
)

const record = 1000

func fill(p []byte, k int) {
	for i := 0; i+8 <= len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], uint64(k)+1)
	}
}

// whole reports whether p is a record that was written, or never was.
func whole(p []byte, k int) (written, ok bool) {
	want := make([]byte, record)
	if bytes.Equal(p, want) {
		return false, true
	}
	fill(want, k)
	return true, bytes.Equal(p, want)
}
