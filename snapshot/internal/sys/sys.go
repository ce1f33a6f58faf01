package sys

import (
	"github.com/mmapsnapshot/mmapsnapshot/syscalls"
)

var (
	AccessRead       = syscalls.AccessRead
	AccessWrite      = syscalls.AccessWrite
	AddressLimit     = syscalls.AddressLimit
	Allocate         = syscalls.Allocate
	Capable          = syscalls.Capable
	CopyFileRange    = syscalls.CopyFileRange
	CountExtents     = syscalls.CountExtents
	CreateExcl       = syscalls.CreateExcl
	DedupeRange      = syscalls.DedupeRange
	DontDump         = syscalls.DontDump
	FDPath           = syscalls.FDPath
	FSType           = syscalls.FSType
	Fchmod           = syscalls.Fchmod
	Fchown           = syscalls.Fchown
	Fgetxattr        = syscalls.Fgetxattr
	Ficlone          = syscalls.Ficlone
	Fiemap           = syscalls.Fiemap
	FileFlags        = syscalls.FileFlags
	Flistxattr       = syscalls.Flistxattr
	Fremovexattr     = syscalls.Fremovexattr
	Fsetxattr        = syscalls.Fsetxattr
	Fstat            = syscalls.Fstat
	FstatSync        = syscalls.FstatSync
	Fsync            = syscalls.Fsync
	Ftruncate        = syscalls.Ftruncate
	Funlock          = syscalls.Funlock
	GetLease         = syscalls.GetLease
	IsAppendOnly     = syscalls.IsAppendOnly
	IsNoCOW          = syscalls.IsNoCOW
	IsPath           = syscalls.IsPath
	IsReadable       = syscalls.IsReadable
	IsRealtime       = syscalls.IsRealtime
	Linkat           = syscalls.Linkat
	MapNone          = syscalls.MapNone
	Memfd            = syscalls.Memfd
	Mincore          = syscalls.Mincore
	Mmap             = syscalls.Mmap
	MmapAnonymous    = syscalls.MmapAnonymous
	Mprotect         = syscalls.Mprotect
	MremapDontunmap  = syscalls.MremapDontunmap
	Munlock          = syscalls.Munlock
	Munmap           = syscalls.Munmap
	NoSymfollow      = syscalls.NoSymfollow
	OpenDir          = syscalls.OpenDir
	OpenPath         = syscalls.OpenPath
	OpenPathBeneath  = syscalls.OpenPathBeneath
	OpenPathFollow   = syscalls.OpenPathFollow
	OpenRead         = syscalls.OpenRead
	OpenReadWrite    = syscalls.OpenReadWrite
	Populate         = syscalls.Populate
	Pread            = syscalls.Pread
	Pwrite           = syscalls.Pwrite
	ReadLeaseSignal  = syscalls.ReadLeaseSignal
	Readlinkat       = syscalls.Readlinkat
	RenameNoReplace  = syscalls.RenameNoReplace
	Renameat         = syscalls.Renameat
	Reopen           = syscalls.Reopen
	ReopenDir        = syscalls.ReopenDir
	ReopenReadWrite  = syscalls.ReopenReadWrite
	Seal             = syscalls.Seal
	SeekData         = syscalls.SeekData
	SeekHole         = syscalls.SeekHole
	SetLease         = syscalls.SetLease
	SetNoAtime       = syscalls.SetNoAtime
	SetNoCOW         = syscalls.SetNoCOW
	Tmpfile          = syscalls.Tmpfile
	TmpfileExcl      = syscalls.TmpfileExcl
	TmpfileExclAt    = syscalls.TmpfileExclAt
	TryFlock         = syscalls.TryFlock
	Unlinkat         = syscalls.Unlinkat
	WritebackAndWait = syscalls.WritebackAndWait
	WritebackError   = syscalls.WritebackError
	WritebackFailed  = syscalls.WritebackFailed
)

// A Call is a variable of this package and the name by which tests know it.
type Call struct {
	Name string
	Func any // a pointer to the variable
}

// Calls lists all variables.
var Calls = []Call{
	{"faccessat2", &AccessWrite},
	{"faccessat2 read", &AccessRead},
	{"statx append", &IsAppendOnly},
	{"statx flags", &FileFlags},
	{"capget", &Capable},
	{"fallocate", &Allocate},
	{"getrlimit", &AddressLimit},
	{"madvise dontdump", &DontDump},
	{"munlock", &Munlock},
	{"copy_file_range", &CopyFileRange},
	{"create excl", &CreateExcl},
	{"fchmod", &Fchmod},
	{"fchown", &Fchown},
	{"fideduperange", &DedupeRange},
	{"fiemap", &CountExtents},
	{"fiemap extents", &Fiemap},
	{"fsgetxattr", &IsRealtime},
	{"readlink", &FDPath},
	{"fgetxattr", &Fgetxattr},
	{"ficlone", &Ficlone},
	{"flistxattr", &Flistxattr},
	{"flock", &TryFlock},
	{"fremovexattr", &Fremovexattr},
	{"fsetxattr", &Fsetxattr},
	{"fstat", &Fstat},
	{"fstat sync", &FstatSync},
	{"fstatfs", &FSType},
	{"fstatfs nosymfollow", &NoSymfollow},
	{"fsync", &Fsync},
	{"ftruncate", &Ftruncate},
	{"funlock", &Funlock},
	{"getlease", &GetLease},
	{"linkat", &Linkat},
	{"memfd", &Memfd},
	{"mincore", &Mincore},
	{"mmap", &Mmap},
	{"mmap anonymous", &MmapAnonymous},
	{"mmap none", &MapNone},
	{"mprotect", &Mprotect},
	{"mremap", &MremapDontunmap},
	{"munmap", &Munmap},
	{"getflags", &IsNoCOW},
	{"ispath", &IsPath},
	{"openat2", &OpenPathBeneath},
	{"openpath follow", &OpenPathFollow},
	{"opendir", &OpenDir},
	{"openpath", &OpenPath},
	{"openread", &OpenRead},
	{"openreadwrite", &OpenReadWrite},
	{"populate", &Populate},
	{"pread", &Pread},
	{"pwrite", &Pwrite},
	{"readable", &IsReadable},
	{"readlinkat", &Readlinkat},
	{"renameat", &Renameat},
	{"renameat2", &RenameNoReplace},
	{"reopen", &Reopen},
	{"reopen writable", &ReopenReadWrite},
	{"reopendir", &ReopenDir},
	{"seal", &Seal},
	{"seekdata", &SeekData},
	{"seekhole", &SeekHole},
	{"noatime", &SetNoAtime},
	{"setlease", &SetLease},
	{"setlease signal", &ReadLeaseSignal},
	{"setflags", &SetNoCOW},
	{"tmpfile", &Tmpfile},
	{"tmpfile excl", &TmpfileExcl},
	{"tmpfile excl at", &TmpfileExclAt},
	{"unlinkat", &Unlinkat},
	{"writeback", &WritebackAndWait},
	{"writebackerr", &WritebackError},
	{"writebackfailed", &WritebackFailed},
}
