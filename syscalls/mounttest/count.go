package mounttest

import (
	"fmt"
	"os"
)

// Count returns how often a test should repeat itself: def normally, ci if the
// environment variable MOUNTTEST_COUNT is "ci", long if it is "long". It panics
// if the variable has another value, so that a typing error is not a short run.
func Count(def, ci, long int) int {
	switch v := os.Getenv("MOUNTTEST_COUNT"); v {
	case "":
		return def
	case "ci":
		return ci
	case "long":
		return long
	default:
		panic(fmt.Sprintf(`mounttest: MOUNTTEST_COUNT=%q: want "ci", "long" or nothing`, v))
	}
}
