package main

import (
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func TestPermission(t *testing.T) {
	var name string
	if !mounttest.IsUserChild() {
		name = programtest.Put(t, mounttest.Dir(t, mounttest.Disk|mounttest.NoReflinks), "f", "abcb")
	}
	mounttest.AsUser(t, func(t *testing.T) {
		programtest.Call(t, run, "-find", "b", "-replace", "X", os.Getenv("NAME")).Want(t, 1, "", "permission denied")
		programtest.Call(t, run, "-n", "-find", "b", "-replace", "X", os.Getenv("NAME")).Want(t, 0, "2 places", "")
	}, "NAME="+name)
}
