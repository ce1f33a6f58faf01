module github.com/mmapsnapshot/mmapsnapshot/benchmarks/external

go 1.26.0

toolchain go1.26.11

require (
	github.com/hanwen/go-fuse/v2 v2.12.1
	github.com/mmapsnapshot/mmapsnapshot v0.0.0
	golang.org/x/sys v0.50.0
)

require (
	github.com/klauspost/compress v1.20.4
	modernc.org/sqlite v1.62.0
)

require (
	github.com/dustin/go-humanize v1.1.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/mattn/go-isatty v0.0.24 // indirect
	github.com/ncruces/go-strftime v1.1.0 // indirect
	github.com/remyoudompheng/bigfft v0.0.0-20230129092748-24d4a6f8daec // indirect
	modernc.org/libc v1.80.1 // indirect
	modernc.org/mathutil v1.7.1 // indirect
	modernc.org/memory v1.12.1 // indirect
)

replace github.com/mmapsnapshot/mmapsnapshot => ../..
