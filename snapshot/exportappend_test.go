package snapshot

// Gathered returns how much of what was appended is not in the private file yet.
func Gathered(m *MmapMut) int { return int(m.size.Load() - m.tail.base.Load()) }
