package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

// hashedBlock is the size of a block of which the manifest has a hash. A later backup reads and
// hashes only the blocks in which something changed; the manifest grows by 32 bytes for each.
const hashedBlock = 256 << 10

// blocksIn returns the number of blocks of a file.
func blocksIn(size int64) int64 { return (size + hashedBlock - 1) / hashedBlock }

// A blockHash hashes each block of what is written to it.
type blockHash struct {
	hash hash.Hash
	n    int // bytes of the block so far
	sums []byte
}

func (b *blockHash) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part := rest[:min(len(rest), hashedBlock-b.n)]
		if b.n == 0 {
			b.hash.Reset()
		}
		_, _ = b.hash.Write(part) // never fails
		b.n += len(part)
		rest = rest[len(part):]
		if b.n == hashedBlock {
			b.end()
		}
	}
	return len(p), nil
}

// end ends a block that is not full.
func (b *blockHash) end() {
	if b.n > 0 {
		b.sums, b.n = b.hash.Sum(b.sums), 0
	}
}

// A contentHash hashes the contents of a file: as a whole, or by blocks.
type contentHash struct {
	whole  hash.Hash // or nil
	blocks blockHash
}

func newContentHash(byBlocks bool) *contentHash {
	if byBlocks {
		return &contentHash{blocks: blockHash{hash: sha256.New()}}
	}
	return &contentHash{whole: sha256.New()}
}

func (h *contentHash) Write(p []byte) (int, error) {
	if h.whole != nil {
		return h.whole.Write(p)
	}
	return h.blocks.Write(p)
}

// store puts the hash into an entry.
func (h *contentHash) store(e *entry) {
	if h.whole != nil {
		e.SHA256 = hex.EncodeToString(h.whole.Sum(nil))
		return
	}
	h.blocks.end()
	e.Blocks = h.blocks.sums
}

// sameContents reports whether two entries have the same hashes.
func (e *entry) sameContents(other *entry) bool {
	return e.SHA256 == other.SHA256 && bytes.Equal(e.Blocks, other.Blocks)
}
