// Package benchmarks measures the library against os.File and golang.org/x/exp/mmap on real
// filesystems. It has no code but benchmarks:
//
//	go test -run '^$' -bench . ./benchmarks
//
// Quote ratios between rows of one run, not times.
package benchmarks
