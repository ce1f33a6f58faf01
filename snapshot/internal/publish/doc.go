// Package publish gives contents a name. It promises that whoever opens the name finds the old file
// or the new one, whole, also after a crash, and that owner, mode and attributes are right before
// another user can open the file.
//
// Files, each of which uses only those named after it: publish.go, request.go, origin.go,
// temporary.go, leftover.go, tempname.go, directory.go, attributes.go, errors.go.
package publish
