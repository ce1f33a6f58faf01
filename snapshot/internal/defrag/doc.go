// Package defrag joins the extents of a private file that many small commits have left. It promises
// that contents, inode and addresses stay as they are, whatever other goroutines store meanwhile.
package defrag
