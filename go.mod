module github.com/mmapsnapshot/mmapsnapshot

go 1.26.0

toolchain go1.26.11

require (
	golang.org/x/exp v0.0.0-20261014143641-f0251eb4aa3e
	golang.org/x/sys v0.49.0
)
