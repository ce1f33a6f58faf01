// Package privatefile makes private copies of files: by reflink, by a copy under a lease, or by a
// copy that is compared. It promises that a private file has no name, and that its contents are
// those of one version of the original, as far as Method says.
//
// Files, each of which uses only those named after it: reader.go, underlease.go,
// privatefile.go, small.go,
// stablecopy.go, settled.go, lease.go, fstype.go, unnamed.go, failures.go, checksum.go, copier.go,
// kernelcopy.go, errors.go, options.go.
package privatefile
