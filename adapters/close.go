package adapters

import (
	"errors"
	"io/fs"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// Sync makes what was written the contents of the file, atomically and durably: see
// [snapshot.MmapMut.Commit], of which it has the errors. If it fails, the file is as it was,
// unless the error is snapshot.ErrNotDurable, and Sync may be called again. Each single Write,
// WriteString or WriteAt is in it as a whole or not at all.
//
// Of a File that OpenFile or Create made, Sync does nothing if nothing was changed, and if a write
// has failed it returns that error: see Close.
func (f *File) Sync() error {
	if !f.isValid() {
		return fs.ErrInvalid
	}
	now := f.changes.state.Load()
	if f.publishes {
		if err := f.failure(); err != nil {
			return err
		}
		if now == f.synced.Load() {
			return check("sync", f.m)
		}
	}
	err := f.m.Commit()
	if err == nil {
		f.synced.Store(now)
	}
	return rename("sync", err)
}

// Close closes the File; a second Close returns fs.ErrClosed.
//
// Of a File that OpenFile or Create made, Close does first what Sync does, at less cost: see
// [snapshot.MmapMut.CommitAndClose]. So a program that calls os.Create, Write and Close leaves the
// same bytes with adapters.Create. In detail:
//
//   - If nothing was changed since the last Sync, or since OpenFile opened the file, Close publishes
//     nothing: the file keeps its inode. Opening with O_TRUNC, or making the file, is a change.
//   - If a Write, WriteAt, WriteString, ReadFrom, Truncate or Chmod has failed, neither Sync nor
//     Close publishes anything any more, and both return the first such error. The file is as it
//     was.
//   - If publishing fails, the File is closed all the same, and what was written is lost. A program
//     that wants to try again calls Sync first.
//   - A File that is dropped without Close publishes nothing.
//
// Of a File that NewFile made, Close discards what was written since the last Sync.
func (f *File) Close() error {
	if !f.isValid() {
		return fs.ErrInvalid
	}
	if !f.publishes {
		return f.Discard()
	}
	if failed := f.failure(); failed != nil {
		if err := f.Discard(); err != nil {
			return err
		}
		return failed
	}
	if f.changes.closeAt(f.synced.Load()) {
		return f.m.Close()
	}
	f.changes.close()
	err := f.m.CommitAndClose()
	if err != nil && !errors.Is(err, snapshot.ErrNotDurable) {
		_ = f.m.Close()
	}
	return rename("close", err)
}

// Discard closes the File and publishes nothing: what was written since the last Sync is lost.
// After Close it does nothing and returns fs.ErrClosed, so that it can be deferred.
func (f *File) Discard() error {
	if !f.isValid() {
		return fs.ErrInvalid
	}
	f.changes.close()
	return f.m.Close()
}

// Chmod sets the mode that the file gets with the next Sync or Close, exactly as given: see
// [snapshot.MmapMut.Chmod].
func (f *File) Chmod(mode fs.FileMode) error {
	if !f.isValid() {
		return fs.ErrInvalid
	}
	if err := f.begin("chmod"); err != nil {
		return err
	}
	defer f.changes.end()
	return f.note(f.m.Chmod(mode))
}

// neverSynced is no state of changes before Close.
const neverSynced = closed

// begin begins a change of the operation op, which f.changes.end ends. If it fails, f was closed.
func (f *File) begin(op string) error {
	if f.changes.begin() {
		return nil
	}
	f.changes.end()
	return &fs.PathError{Op: op, Path: f.m.Name(), Err: fs.ErrClosed}
}

// note remembers an error of a change, if it is the first, and returns it.
func (f *File) note(err error) error {
	if err != nil && f.publishes && !errors.Is(err, fs.ErrClosed) {
		first := err
		f.failed.CompareAndSwap(nil, &first)
	}
	return err
}

// failure returns the first error that note was given.
func (f *File) failure() error {
	if first := f.failed.Load(); first != nil {
		return *first
	}
	return nil
}
