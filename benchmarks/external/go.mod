module github.com/mmapsnapshot/mmapsnapshot/benchmarks/external

go 1.26.0

toolchain go1.26.11

require (
	github.com/hanwen/go-fuse/v2 v2.12.1
	github.com/mmapsnapshot/mmapsnapshot v0.0.0
	golang.org/x/sys v0.49.0
)

require github.com/klauspost/compress v1.20.4

replace github.com/mmapsnapshot/mmapsnapshot => ../..
