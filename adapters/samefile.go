package adapters

import (
	"io/fs"
	"os"
)

// SameFile is like [os.SameFile], and knows what Stat of this package and of package snapshot
// returns, for which os.SameFile is false. It compares device and inode number: an inode number of
// a file that was removed can be given to another file, because a snapshot does not keep its file.
// A Stat of a snapshot describes the file that was opened, also after a Sync or Close has replaced
// it.
func SameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) || a != nil && b != nil && sameInode(a.Sys(), b.Sys())
}
