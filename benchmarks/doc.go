// Package benchmarks measures the library against os.File, golang.org/x/exp/mmap and bytes in
// memory on real filesystems. It has no code but benchmarks:
//
//	go test -run '^$' -bench . ./benchmarks                   # -short: small sizes
//	go test -run '^$' -bench ReadAt/fs=xfs ./benchmarks
//
// What is compared is done in turn in one run. A row has X-ns/op for each way X, and X/ours for
// each but ours: how many times as long X takes. Quote those ratios, not times.
//
// A test compares the most important of them with generous bounds, and so fails when a fast path
// is lost. It is skipped unless asked for:
//
//	go test -run Guard ./benchmarks -guard
//
// In peers are the same work by other libraries, and what becomes of each where things go wrong;
// report runs everything and makes tables and charts of it, in results. Both are modules of
// their own.
package benchmarks
