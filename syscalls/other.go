//go:build !linux

package syscalls

import (
	"errors"
	"fmt"
	"time"
)

var errOther = fmt.Errorf("needs Linux: %w", errors.ErrUnsupported)

// Operations that Linux alone has, or that other systems have in another form.

func ficlone(int, int) error                                 { return errOther }
func copyFileRange(int, int64, int, int64, int) (int, error) { return 0, errOther }
func dedupeRange(int, int, int64, int) (int, error)          { return 0, errOther }
func countExtents(int, int64, int64) (int, error)            { return 0, errOther }
func fiemap(int, int64, int64, bool, []Extent) (int, error)  { return 0, errOther }
func ficloneRange(int, int64, int, int64, int64) error       { return errOther }
func seekData(int, int64) (int64, error)                     { return 0, errOther }
func seekHole(int, int64) (int64, error)                     { return 0, errOther }
func allocate(int, int64, int64, bool) error                 { return errOther }

func mremap([]byte, int) ([]byte, error)               { return nil, errOther }
func mremapDontunmap([]byte, int, int) ([]byte, error) { return nil, errOther }
func dontDump([]byte) error                            { return errOther }
func addressLimit() (int64, error)                     { return 0, errOther }
func tryMemory(int64) error                            { return errOther }
func populate([]byte, bool) error                      { return errOther }
func mincore([]byte, []byte) error                     { return errOther }

func openTmpfile(int, string, uint32, bool) (int, error) { return -1, errOther }
func reopenReadWrite(int) (int, error)                   { return -1, errOther }
func fdPath(int) (string, error)                         { return "", errOther }
func memfd(string) (int, error)                          { return -1, errOther }
func openPathBeneath(int, string) (int, error)           { return -1, errOther }
func openDirBeneath(int, string) (int, error)            { return -1, errOther }
func isPath(int) (bool, error)                           { return false, errOther }
func seal(int) error                                     { return errOther }
func linkat(int, int, string) error                      { return errOther }
func readlinkat(int) (string, error)                     { return "", errOther }
func renameNoReplace(int, string, string) error          { return errOther }

func flistxattr(int) ([]string, error)      { return nil, errOther }
func fgetxattr(int, string) ([]byte, error) { return nil, errOther }
func fsetxattr(int, string, []byte) error   { return errOther }
func fremovexattr(int, string) error        { return errOther }
func isNoCOW(int) (bool, error)             { return false, errOther }
func isRealtime(int) (bool, error)          { return false, errOther }
func setNoCOW(int, bool) error              { return errOther }
func isAppendOnly(int) (bool, error)        { return false, errOther }
func fileFlags(int) (Flags, error)          { return 0, errOther }
func setNoAtime(int) error                  { return errOther }
func capable(int) (bool, error)             { return false, errOther }
func fsType(int) (uint32, error)            { return 0, errOther }
func noSymfollow(int) (bool, error)         { return false, errOther }

func coarseNow() (time.Time, error) { return time.Time{}, errOther }

func writebackAndWait(int) error { return errOther }
func writebackError(int) error   { return errOther }
func writebackFailed(int) error  { return errOther }
func setLease(int, int) error    { return errOther }
func getLease(int) (int, error)  { return NoLease, errOther }

func readLeaseSignal(int, int, int) error  { return errOther }
func blockSignal(int) (int, error)         { return -1, errOther }
func awaitSignal(int, time.Duration) error { return errOther }

// Operations of POSIX, or of every Unix.

func pread(int, []byte, int64) (int, error)  { return 0, errOther }
func pwrite(int, []byte, int64) (int, error) { return 0, errOther }
func ftruncate(int, int64) error             { return errOther }

func mmap(int, int, bool) ([]byte, error) { return nil, errOther }
func mmapAnonymous(int) ([]byte, error)   { return nil, errOther }
func munmap([]byte) error                 { return errOther }
func mapNone([]byte) error                { return errOther }
func mprotect([]byte, bool, bool) error   { return errOther }
func munlock([]byte) error                { return errOther }

func openPath(int, string) (int, error)           { return -1, errOther }
func openPathFollow(int, string) (int, error)     { return -1, errOther }
func openDir(int, string) (int, error)            { return -1, errOther }
func openRead(int, string) (int, error)           { return -1, errOther }
func openReadWrite(int, string) (int, error)      { return -1, errOther }
func reopen(int) (int, error)                     { return -1, errOther }
func reopenDir(int) (int, error)                  { return -1, errOther }
func createExcl(int, string, uint32) (int, error) { return -1, errOther }
func renameat(int, string, string) error          { return errOther }
func unlinkat(int, string) error                  { return errOther }
func accessRead(int, int, string) error           { return errOther }
func accessWrite(int, int, string) error          { return errOther }
func closefd(int) error                           { return errOther }

func fstat(int, bool) (Stat, error)    { return Stat{}, errOther }
func fchown(int, uint32, uint32) error { return errOther }
func fchmod(int, uint32) error         { return errOther }
func isReadable(int) (bool, error)     { return false, errOther }

func fsync(int) error    { return errOther }
func tryFlock(int) error { return errOther }
func funlock(int) error  { return errOther }
