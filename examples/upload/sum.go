package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"io"
	"sync"
)

// CRC-64/NVME is the checksum that S3 can keep of a full object, however many parts it was sent in.
const polynomial = 0x9a6c9329ac4bc9b5

var table = crc64.MakeTable(polynomial)

// checksum returns a sum as S3 writes it.
func checksum(sum uint64) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, sum))
}

// combine returns the checksum of two pieces one after the other: sum times x to the power of the
// number of bits of the second, modulo the polynomial, plus the checksum of the second.
func combine(sum, second uint64, size int64) uint64 {
	const one = uint64(1) << 63 // the highest bit is the coefficient of the lowest power
	for power := one >> 8; size > 0; size >>= 1 {
		if size&1 != 0 {
			sum = multiply(sum, power)
		}
		power = multiply(power, power)
	}
	return sum ^ second
}

// multiply returns the product of two polynomials over GF(2), modulo the one of the checksum.
func multiply(a, b uint64) (product uint64) {
	for ; a != 0; a <<= 1 {
		if a>>63 != 0 {
			product ^= b
		}
		b = b>>1 ^ polynomial&-(b&1)
	}
	return product
}

// A summedReader keeps the checksum of what was read through it.
type summedReader struct {
	io.ReadSeeker
	sum uint64
}

func (s *summedReader) Read(p []byte) (int, error) {
	n, err := s.ReadSeeker.Read(p)
	s.sum = crc64.Update(s.sum, table, p[:n])
	return n, err
}

// A summedWriter passes the ranges of an object on, and keeps their checksums. Several goroutines
// may write to it, each a range of its own: from its beginning to its end, and again from the
// beginning when the transfer manager repeats a request.
type summedWriter struct {
	next   io.WriterAt // nil if there is none
	cancel context.CancelCauseFunc
	size   int64
	part   int64 // all ranges but the last are as long

	mu     sync.Mutex // guards ranges
	ranges map[int64]partial
}

// A partial is the beginning of a range.
type partial struct {
	sum  uint64
	size int64
}

func (s *summedWriter) WriteAt(p []byte, off int64) (int, error) {
	if err := s.write(p, off); err != nil {
		s.cancel(err) // the transfer manager would ask for the range again
		return 0, err
	}
	return len(p), nil
}

func (s *summedWriter) write(p []byte, off int64) error {
	i := off / s.part
	s.mu.Lock()
	r := s.ranges[i]
	s.mu.Unlock()
	if off == i*s.part {
		r = partial{}
	}
	n := int64(len(p))
	if off != i*s.part+r.size || r.size+n > s.part || off+n > s.size {
		return fmt.Errorf("%d bytes at offset %d were not asked for", n, off)
	}
	if s.next != nil {
		if _, err := s.next.WriteAt(p, off); err != nil {
			return err
		}
	}
	r = partial{crc64.Update(r.sum, table, p), r.size + n}
	s.mu.Lock()
	s.ranges[i] = r
	s.mu.Unlock()
	return nil
}

// total returns the checksum of the object, after the last write.
func (s *summedWriter) total() (sum uint64, err error) {
	for off := int64(0); off < s.size; off += s.part {
		r := s.ranges[off/s.part]
		if r.size != min(s.part, s.size-off) {
			return 0, fmt.Errorf("%d bytes at offset %d are missing", s.size-off-r.size, off+r.size)
		}
		sum = combine(sum, r.sum, r.size)
	}
	return sum, nil
}
