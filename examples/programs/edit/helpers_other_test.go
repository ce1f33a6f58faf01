//go:build !linux

package main

import "testing"

func room(*testing.T, string) int64 { return 0 }
