// Package seccomp makes system calls fail, as they would on another kernel or in a container.
// Off Linux it has the types alone.
package seccomp

import "syscall"

// A Rule refuses a system call.
type Rule struct {
	Call  uintptr       // its number
	Errno syscall.Errno // what it fails with
	If    Condition
}

// A Condition says which calls a rule refuses, by the lower 32 bits of one argument. The zero
// Condition is every call.
type Condition struct {
	Test  Test
	Arg   int
	Value uint32
}

// A Test compares an argument with the value of a condition.
type Test int

const (
	Always Test = iota
	Equal       // the argument is the value
	AnyBit      // the argument has at least one bit of the value
)
