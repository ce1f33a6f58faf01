// Command report runs the benchmarks and writes what they say: raw output that benchstat reads,
// a report with medians, spread and ratios, and charts.
//
//	go -C benchmarks/report run .            # hours; as root, on a machine that does nothing else
//	go -C benchmarks/report run . -quick     # minutes; shows that all of it works
//	go -C benchmarks/report run . -render    # makes report and charts anew from the raw output
//
// All is written to benchmarks/results, or to the directory that -out names.
package main
