// Package extentdiff compares two files by the addresses of their extents, without reading them. Two
// files that share an extent at the same offset have the same contents there.
package extentdiff
