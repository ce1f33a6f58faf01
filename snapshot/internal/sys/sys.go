package sys

import (
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

// The kernel, as this package uses it: one variable for each call, so that a test can make any
// of them fail. Nothing else assigns them.
var (
	SysCanWrite         = syscalls.CanWrite
	SysAppendOnly       = syscalls.AppendOnly
	SysCapable          = syscalls.Capable
	SysCopyFileRange    = syscalls.CopyFileRange
	SysCreateExcl       = syscalls.CreateExcl
	SysFchmod           = syscalls.Fchmod
	SysFchown           = syscalls.Fchown
	SysDedupeRange      = syscalls.DedupeRange
	SysExtents          = syscalls.Extents
	SysFdPath           = syscalls.FdPath
	SysFgetxattr        = syscalls.Fgetxattr
	SysFiclone          = syscalls.Ficlone
	SysFlistxattr       = syscalls.Flistxattr
	SysTryFlock         = syscalls.TryFlock
	SysFremovexattr     = syscalls.Fremovexattr
	SysFsetxattr        = syscalls.Fsetxattr
	SysFstat            = syscalls.Fstat
	SysFstatSync        = syscalls.FstatSync
	SysFsType           = syscalls.FsType
	SysFsync            = syscalls.Fsync
	SysFtruncate        = syscalls.Ftruncate
	SysFunlock          = syscalls.Funlock
	SysGetLease         = syscalls.GetLease
	SysLinkat           = syscalls.Linkat
	SysMemfd            = syscalls.Memfd
	SysMincore          = syscalls.Mincore
	SysMmap             = syscalls.Mmap
	SysMprotect         = syscalls.Mprotect
	SysMremapDontunmap  = syscalls.MremapDontunmap
	SysMunmap           = syscalls.Munmap
	SysNocow            = syscalls.Nocow
	SysOpenPathFollow   = syscalls.OpenPathFollow
	SysOpenDir          = syscalls.OpenDir
	SysOpenPath         = syscalls.OpenPath
	SysOpenRead         = syscalls.OpenRead
	SysOpenReadWrite    = syscalls.OpenReadWrite
	SysPoison           = syscalls.Poison
	SysPopulate         = syscalls.Populate
	SysPread            = syscalls.Pread
	SysPunchHole        = syscalls.PunchHole
	SysPwrite           = syscalls.Pwrite
	SysReadable         = syscalls.Readable
	SysReadlinkat       = syscalls.Readlinkat
	SysRenameat         = syscalls.Renameat
	SysRenameNoReplace  = syscalls.RenameNoReplace
	SysReopen           = syscalls.Reopen
	SysReopenWritable   = syscalls.ReopenWritable
	SysReopenDir        = syscalls.ReopenDir
	SysSeal             = syscalls.Seal
	SysSeekData         = syscalls.SeekData
	SysSeekHole         = syscalls.SeekHole
	SysSetNoAtime       = syscalls.SetNoAtime
	SysSetLease         = syscalls.SetLease
	SysSetNocow         = syscalls.SetNocow
	SysTmpfile          = syscalls.Tmpfile
	SysTmpfileExcl      = syscalls.TmpfileExcl
	SysUnlinkat         = syscalls.Unlinkat
	SysWritebackAndWait = syscalls.WritebackAndWait
	SysWritebackError   = syscalls.WritebackError
)
