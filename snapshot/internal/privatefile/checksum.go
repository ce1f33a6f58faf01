package privatefile

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/maphash"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/sys"
)

// checksumSeed is not known to other processes, which therefore cannot make two files with one
// checksum.
var checksumSeed = maphash.MakeSeed()

// Checksum returns 64 bits that differ, as good as always, for files of different contents, within
// this process. No other code uses the offset of the descriptor. Holes are not read.
func Checksum(ctx context.Context, fd int) (uint64, error) {
	const block = 256 << 10
	var sum maphash.Hash
	sum.SetSeed(checksumSeed)
	st, err := sys.Fstat(fd)
	if err != nil {
		return 0, err
	}
	buf, zeros := make([]byte, min(block, st.Size)), make([]byte, min(block, st.Size))
	for off := int64(0); off < st.Size; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		data, _, err := NextData(fd, off, st.Size)
		if err != nil {
			return 0, err
		}
		if data == st.Size {
			break
		}
		off = data / block * block // the same blocks, wherever the holes are
		n, err := readFull(fd, buf, off)
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(buf[:n], zeros[:n]) {
			var p [16]byte
			binary.NativeEndian.PutUint64(p[:], uint64(off))
			binary.NativeEndian.PutUint64(p[8:], maphash.Bytes(checksumSeed, buf[:n]))
			_, _ = sum.Write(p[:])
		}
		off += block
	}
	var p [8]byte
	binary.NativeEndian.PutUint64(p[:], uint64(st.Size))
	_, _ = sum.Write(p[:])
	return sum.Sum64(), nil
}

// readFull reads as much of p as the file has from off on.
func readFull(fd int, p []byte, off int64) (n int, err error) {
	for n < len(p) {
		k, err := sys.Pread(fd, p[n:], off+int64(n))
		if err != nil {
			return n, err
		}
		if k == 0 {
			return n, nil
		}
		n += k
	}
	return n, nil
}
