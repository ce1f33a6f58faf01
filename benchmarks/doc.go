// Package benchmarks measures the library against os.File, a plain mapping and bytes in memory on
// real filesystems. It has no code but benchmarks and their tests:
//
//	go test -run '^$' -bench . ./benchmarks                   # -short: small sizes
//	go test -run '^$' -bench ReadAt/fs=xfs ./benchmarks
//
// What is compared is done in turn in one run. A row has X-ns/op for each way X, and X/ours for
// each but ours: how many times as long X takes. Quote those ratios, not times.
//
// TestFastPaths counts what the fast paths are about: system calls that read, bytes that are moved,
// allocations. It does not depend on time. TestGuard compares the best times of several rounds by
// factors that only a lost fast path can reach. It is skipped unless asked for:
//
//	go test -run Guard ./benchmarks -guard
//
// In peers are the same work by other libraries, and what becomes of each where things go wrong;
// report runs everything and makes tables and charts of it, in results. Both are modules of
// their own.
package benchmarks
