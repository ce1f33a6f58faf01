package sys

import (
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

var (
	CanWrite         = syscalls.CanWrite
	AppendOnly       = syscalls.AppendOnly
	Capable          = syscalls.Capable
	CopyFileRange    = syscalls.CopyFileRange
	CreateExcl       = syscalls.CreateExcl
	Fchmod           = syscalls.Fchmod
	Fchown           = syscalls.Fchown
	DedupeRange      = syscalls.DedupeRange
	Extents          = syscalls.Extents
	FdPath           = syscalls.FdPath
	Fgetxattr        = syscalls.Fgetxattr
	Ficlone          = syscalls.Ficlone
	Flistxattr       = syscalls.Flistxattr
	TryFlock         = syscalls.TryFlock
	Fremovexattr     = syscalls.Fremovexattr
	Fsetxattr        = syscalls.Fsetxattr
	Fstat            = syscalls.Fstat
	FstatSync        = syscalls.FstatSync
	FsType           = syscalls.FsType
	Fsync            = syscalls.Fsync
	Ftruncate        = syscalls.Ftruncate
	Funlock          = syscalls.Funlock
	GetLease         = syscalls.GetLease
	Linkat           = syscalls.Linkat
	Memfd            = syscalls.Memfd
	Mincore          = syscalls.Mincore
	Mmap             = syscalls.Mmap
	Mprotect         = syscalls.Mprotect
	MremapDontunmap  = syscalls.MremapDontunmap
	Munmap           = syscalls.Munmap
	Nocow            = syscalls.Nocow
	OpenPathFollow   = syscalls.OpenPathFollow
	OpenDir          = syscalls.OpenDir
	OpenPath         = syscalls.OpenPath
	OpenRead         = syscalls.OpenRead
	OpenReadWrite    = syscalls.OpenReadWrite
	Poison           = syscalls.Poison
	Populate         = syscalls.Populate
	Pread            = syscalls.Pread
	Pwrite           = syscalls.Pwrite
	Readable         = syscalls.Readable
	Readlinkat       = syscalls.Readlinkat
	Renameat         = syscalls.Renameat
	RenameNoReplace  = syscalls.RenameNoReplace
	Reopen           = syscalls.Reopen
	ReopenWritable   = syscalls.ReopenWritable
	ReopenDir        = syscalls.ReopenDir
	Seal             = syscalls.Seal
	SeekData         = syscalls.SeekData
	SeekHole         = syscalls.SeekHole
	SetNoAtime       = syscalls.SetNoAtime
	SetLease         = syscalls.SetLease
	SetNocow         = syscalls.SetNocow
	Tmpfile          = syscalls.Tmpfile
	TmpfileExcl      = syscalls.TmpfileExcl
	Unlinkat         = syscalls.Unlinkat
	WritebackAndWait = syscalls.WritebackAndWait
	WritebackError   = syscalls.WritebackError
)

// A Call is a variable of this package and the name by which tests know it.
type Call struct {
	Name string
	Func any // a pointer to the variable
}

// Calls lists all variables.
var Calls = []Call{
	{"faccessat2", &CanWrite},
	{"statx append", &AppendOnly},
	{"capget", &Capable},
	{"copy_file_range", &CopyFileRange},
	{"create excl", &CreateExcl},
	{"fchmod", &Fchmod},
	{"fchown", &Fchown},
	{"fideduperange", &DedupeRange},
	{"fiemap", &Extents},
	{"readlink", &FdPath},
	{"fgetxattr", &Fgetxattr},
	{"ficlone", &Ficlone},
	{"flistxattr", &Flistxattr},
	{"flock", &TryFlock},
	{"fremovexattr", &Fremovexattr},
	{"fsetxattr", &Fsetxattr},
	{"fstat", &Fstat},
	{"fstat sync", &FstatSync},
	{"fstatfs", &FsType},
	{"fsync", &Fsync},
	{"ftruncate", &Ftruncate},
	{"funlock", &Funlock},
	{"getlease", &GetLease},
	{"linkat", &Linkat},
	{"memfd", &Memfd},
	{"mincore", &Mincore},
	{"mmap", &Mmap},
	{"mprotect", &Mprotect},
	{"mremap", &MremapDontunmap},
	{"munmap", &Munmap},
	{"getflags", &Nocow},
	{"openpath follow", &OpenPathFollow},
	{"opendir", &OpenDir},
	{"openpath", &OpenPath},
	{"openread", &OpenRead},
	{"openreadwrite", &OpenReadWrite},
	{"poison", &Poison},
	{"populate", &Populate},
	{"pread", &Pread},
	{"pwrite", &Pwrite},
	{"readable", &Readable},
	{"readlinkat", &Readlinkat},
	{"renameat", &Renameat},
	{"renameat2", &RenameNoReplace},
	{"reopen", &Reopen},
	{"reopen writable", &ReopenWritable},
	{"reopendir", &ReopenDir},
	{"seal", &Seal},
	{"seekdata", &SeekData},
	{"seekhole", &SeekHole},
	{"noatime", &SetNoAtime},
	{"setlease", &SetLease},
	{"setflags", &SetNocow},
	{"tmpfile", &Tmpfile},
	{"tmpfile excl", &TmpfileExcl},
	{"unlinkat", &Unlinkat},
	{"writeback", &WritebackAndWait},
	{"writebackerr", &WritebackError},
}
