package snapshot

// Gathered returns how much of what was appended is not in the private file yet; -1 if nothing is, but
// the memory for it is held all the same.
func Gathered(m *MmapMut) int {
	n := int(m.size.Load() - m.tail.base.Load())
	if n == 0 && m.tail.buf != nil {
		return -1
	}
	return n
}
