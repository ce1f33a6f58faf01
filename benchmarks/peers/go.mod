module github.com/mmapsnapshot/mmapsnapshot/benchmarks/peers

go 1.26.0

toolchain go1.26.11

replace github.com/mmapsnapshot/mmapsnapshot => ../..

require (
	github.com/KarpelesLab/reflink v1.0.1
	github.com/edsrzf/mmap-go v1.2.0
	github.com/google/renameio/v2 v2.0.2
	github.com/mmapsnapshot/mmapsnapshot v0.0.0
	github.com/natefinch/atomic v1.0.1
	golang.org/x/exp v0.0.0-20261014143641-f0251eb4aa3e
)

require golang.org/x/sys v0.49.0 // indirect
