// Package pathname resolves the name that a caller gives to an open directory, a base name in it
// and a descriptor of the file. It promises that nothing is looked up twice by name without a
// comparison of inodes, that looking at a name opens nothing that blocks or has effects, and that a
// name below a root opens nothing outside.
//
// Files, each of which uses only those named after it: resolve.go, beneath.go, owner.go,
// generated.go, location.go, errors.go.
package pathname
