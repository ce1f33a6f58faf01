package snapshot

import (
	"errors"
	"io/fs"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// expect makes the file that this snapshot published or changed under its own name the one that
// the next commit expects. file is a descriptor of OpenPath of it, or -1, and is taken over.
func (m *MmapMut) expect(stat syscalls.Stat, file int) {
	m.baseline = &stat
	if m.at.file >= 0 {
		_ = syscalls.Close(m.at.file)
	}
	m.at.file = file
}

// unchanged returns ErrConflict if the file under the snapshot's own name is not the one that
// is expected, or not as it was.
func (m *MmapMut) unchanged() error {
	now := place{dir: m.at.dir, base: m.at.base, file: -1}
	err := now.look()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if m.baseline == nil {
			return nil
		}
		return ErrConflict
	case err != nil:
		return err
	}
	defer syscalls.Close(now.file)
	stat, err := sysFstatSync(now.file)
	if err != nil {
		return err
	}
	if m.baseline == nil || !same(*m.baseline, stat) {
		return ErrConflict
	}
	return nil
}
