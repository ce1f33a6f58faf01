package main

import (
	"context"
	"hash/crc64"
	"math/rand/v2"
	"testing"
)

// The checksum is that of the catalogue of CRC algorithms, for its check input.
func TestChecksumIsNVME(t *testing.T) {
	if sum := crc64.Checksum([]byte("123456789"), table); sum != 0xae8b14860a799888 {
		t.Errorf("%x", sum)
	}
	if s := checksum(0xae8b14860a799888); s != "rosUhgp5mIg=" {
		t.Error(s)
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func TestCombine(t *testing.T) {
	b := noise(100_000)
	for _, at := range []int{0, 1, 2, 63, 64, 4096, 50_001, len(b) - 1, len(b)} {
		sum := combine(crc64.Checksum(b[:at], table), crc64.Checksum(b[at:], table), int64(len(b)-at))
		if want := crc64.Checksum(b, table); sum != want {
			t.Errorf("cut at %d: %x, not %x", at, sum, want)
		}
	}
}

// Ranges arrive in any order, in pieces, and again from their beginning.
func TestSummedWriter(t *testing.T) {
	b := noise(10_500)
	write := func(s *summedWriter, from, to int) {
		if _, err := s.WriteAt(b[from:to], int64(from)); err != nil {
			t.Error(err)
		}
	}
	newWriter := func() *summedWriter {
		_, cancel := context.WithCancelCause(t.Context())
		return &summedWriter{cancel: cancel, size: 10_500, part: 1000, ranges: map[int64]partial{}}
	}
	s := newWriter()
	write(s, 10_000, 10_500)
	for i := 9; i >= 0; i-- {
		write(s, 1000*i, 1000*i+700)
		if i%3 == 0 { // repeated
			write(s, 1000*i, 1000*i+700)
		}
		if _, err := s.total(); err == nil {
			t.Errorf("%d: total of an object that is not there yet", i)
		}
		write(s, 1000*i+700, 1000*i+1000)
	}
	if sum, err := s.total(); err != nil || sum != crc64.Checksum(b, table) {
		t.Errorf("%x, %v", sum, err)
	}
	for _, x := range [][2]int64{{1, 2}, {999, 1001}, {10_000, 10_501}, {0, 1001}, {11_000, 11_001}} {
		if _, err := newWriter().WriteAt(make([]byte, x[1]-x[0]), x[0]); err == nil {
			t.Errorf("bytes %d to %d: no error", x[0], x[1])
		}
	}
}
