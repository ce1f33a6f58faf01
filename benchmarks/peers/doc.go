// Package peers measures the library against others for the same work, and tries what becomes of
// each where things go wrong. It is for Linux, as one of them builds nowhere else, and a module of
// its own, so that none of them is required by the library:
//
//	go -C benchmarks/peers test -run '^$' -bench .
//	go -C benchmarks/peers test -run Scenarios -v
//
// The second prints a line for each scenario and peer: what the program saw, or how it died.
package peers
