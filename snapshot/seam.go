package snapshot

import (
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// The kernel, as this package uses it: one variable for each call, so that a test can make any
// of them fail. Nothing else assigns them.
var (
	sysCanWrite         = syscalls.CanWrite
	sysAppendOnly       = syscalls.AppendOnly
	sysCapable          = syscalls.Capable
	sysCopyFileRange    = syscalls.CopyFileRange
	sysCreateExcl       = syscalls.CreateExcl
	sysFchmod           = syscalls.Fchmod
	sysFchown           = syscalls.Fchown
	sysDedupeRange      = syscalls.DedupeRange
	sysExtents          = syscalls.Extents
	sysFdPath           = syscalls.FdPath
	sysFgetxattr        = syscalls.Fgetxattr
	sysFiclone          = syscalls.Ficlone
	sysFlistxattr       = syscalls.Flistxattr
	sysTryFlock         = syscalls.TryFlock
	sysFremovexattr     = syscalls.Fremovexattr
	sysFsetxattr        = syscalls.Fsetxattr
	sysFstat            = syscalls.Fstat
	sysFstatSync        = syscalls.FstatSync
	sysFsType           = syscalls.FsType
	sysFsync            = syscalls.Fsync
	sysFtruncate        = syscalls.Ftruncate
	sysFunlock          = syscalls.Funlock
	sysGetLease         = syscalls.GetLease
	sysLinkat           = syscalls.Linkat
	sysMemfd            = syscalls.Memfd
	sysMincore          = syscalls.Mincore
	sysMmap             = syscalls.Mmap
	sysMprotect         = syscalls.Mprotect
	sysMremapDontunmap  = syscalls.MremapDontunmap
	sysMunmap           = syscalls.Munmap
	sysNocow            = syscalls.Nocow
	sysOpenPathFollow   = syscalls.OpenPathFollow
	sysOpenDir          = syscalls.OpenDir
	sysOpenPath         = syscalls.OpenPath
	sysOpenRead         = syscalls.OpenRead
	sysOpenReadWrite    = syscalls.OpenReadWrite
	sysPoison           = syscalls.Poison
	sysPopulate         = syscalls.Populate
	sysPread            = syscalls.Pread
	sysPunchHole        = syscalls.PunchHole
	sysPwrite           = syscalls.Pwrite
	sysReadable         = syscalls.Readable
	sysReadlinkat       = syscalls.Readlinkat
	sysRenameat         = syscalls.Renameat
	sysRenameNoReplace  = syscalls.RenameNoReplace
	sysReopen           = syscalls.Reopen
	sysReopenWritable   = syscalls.ReopenWritable
	sysReopenDir        = syscalls.ReopenDir
	sysSeal             = syscalls.Seal
	sysSeekData         = syscalls.SeekData
	sysSeekHole         = syscalls.SeekHole
	sysSetNoAtime       = syscalls.SetNoAtime
	sysSetLease         = syscalls.SetLease
	sysSetNocow         = syscalls.SetNocow
	sysTmpfile          = syscalls.Tmpfile
	sysTmpfileExcl      = syscalls.TmpfileExcl
	sysUnlinkat         = syscalls.Unlinkat
	sysWritebackAndWait = syscalls.WritebackAndWait
	sysWritebackError   = syscalls.WritebackError
)
