package mounttest

import "testing"

// A process takes part in a session if the mark in its environment fits the process.
func TestSessionOfProcess(t *testing.T) {
	host, private := "mnt:[1]", "mnt:[2]"
	value := mark(process{host, "8:1"}, "/tmp/with a blank")
	for _, test := range []struct {
		name  string
		self  process
		value string
		want  *session
	}{
		{"tester", process{private, "8:1"}, value, &session{"/tmp/with a blank", true}},
		{"tester, unprivileged", process{host, "8:1"}, value, &session{"/tmp/with a blank", false}},
		{"another binary", process{private, "8:2"}, value, nil},
		{"not marked", process{host, "8:1"}, "", nil},
		{"marked by hand", process{host, "8:1"}, "1", nil},
		{"without directory", process{host, "8:1"}, host + " 8:1", nil},
	} {
		got := joined(test.self, test.value)
		if (got == nil) != (test.want == nil) || got != nil && *got != *test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}
