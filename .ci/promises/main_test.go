package main

import (
	"go/token"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/.ci/internal/promise"
)

func TestWrite(t *testing.T) {
	at := token.Position{Filename: "p/a_test.go", Line: 7, Column: 1}
	promises := []promise.Promise{
		{Symbol: "p.A", Text: "A holds", Test: "TestA", Pos: at},
		{Symbol: "p.A", Text: "A holds twice", Test: "TestB", Pos: at},
		{Symbol: "p.B", Text: "B holds", Test: "TestA", Pos: at},
		{Symbol: "q", Text: "q holds", Test: "TestA", Pos: at},
	}
	for prefix, want := range map[string]string{
		"p.": "p.A\n\tA holds\n\t\tp/a_test.go:7 TestA\n" +
			"\tA holds twice\n\t\tp/a_test.go:7 TestB\n" +
			"\np.B\n\tB holds\n\t\tp/a_test.go:7 TestA\n",
		"q": "q\n\tq holds\n\t\tp/a_test.go:7 TestA\n",
		"r": "",
	} {
		var out strings.Builder
		err := write(&out, promises, prefix)
		if out.String() != want || (err == nil) != (want != "") {
			t.Errorf("%q: %v\n%s\nwant\n%s", prefix, err, out.String(), want)
		}
	}
}
