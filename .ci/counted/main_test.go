package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPattern(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.go", "package a\nfunc TestNot() { mounttest.Count(1, 2, 3) }\n")
	write("a_test.go", `package a
func TestDirectly() { for range mounttest.Count(1, 2, 3) {} }
func TestNever() { helper(1); other.Count(1) }
func TestByFunction() { outer() }
func TestByMethod() { x.method() }
func TestByVariable() { _ = rounds }
`)
	write("helpers_test.go", `package a
var rounds = mounttest.Count(1, 2, 3)
func helper(n int) { if n > 0 { helper(n - 1) } }
func outer() { helper(1); inner() }
func inner() { run(func() { mounttest.Count(1, 2, 3) }); outer() }
func (t thing) method() { t.f(inner) }
`)
	want := "^(TestByFunction|TestByMethod|TestByVariable|TestDirectly)$"
	if got, err := pattern(dir); got != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	other := t.TempDir()
	text := "package b\nfunc TestOther() { mounttest.Count(1, 2, 3) }\nfunc TestDirectly() {}\n"
	if err := os.WriteFile(filepath.Join(other, "b_test.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want = "^(TestByFunction|TestByMethod|TestByVariable|TestDirectly|TestOther)$"
	if got, err := pattern(dir, other); got != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	write("a_test.go", "package a\nfunc TestNever() {}\n")
	if got, err := pattern(other, dir); err == nil {
		t.Errorf("%q for a package in which nothing counts", got)
	}
}
