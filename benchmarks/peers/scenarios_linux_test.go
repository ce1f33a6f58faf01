package peers

import (
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// ours is the name of this library among the peers.
const ours = "mmapsnapshot"

// A scenario is something that goes wrong, and what each peer that has to do with it does then.
type scenario struct {
	name  string
	fs    mounttest.Property // in a directory of which it runs
	peers map[string]func(t *testing.T, dir string) string
	want  string // of ours
}

var scenarios []scenario

// order is that of the columns.
var order = []string{"os.File", "os.WriteFile", "x/exp/mmap", "mmap-go", "renameio", "natefinch/atomic", "reflink", ours}

func init() {
	scenarios = []scenario{closeScenario, truncateScenario, fullScenario, copyScenario, keepScenario, killScenario}
}

// TestScenarios prints a line for each scenario and peer, which the report makes a table of:
//
//	cell: scenario | peer | what happened
//
// It fails if ours does not do what it promises. Of the others it only tells.
func TestScenarios(t *testing.T) {
	for _, s := range scenarios {
		t.Run(strings.ReplaceAll(s.name, " ", "-"), func(t *testing.T) {
			for _, peer := range order {
				if s.peers[peer] == nil {
					continue
				}
				dir, saw := s.dir(t), ""
				if s.name == killScenario.name {
					saw = killed(t, s, peer)
				} else {
					saw = job{s.name, peer, dir}.run(t)
				}
				t.Logf("cell: %s, %s | %s | %s", s.name, mounttest.KindOf(dir), peer, saw)
				if peer == ours && saw != s.want {
					t.Errorf("%q, want %q", saw, s.want)
				}
			}
		})
	}
}

func (s scenario) dir(t *testing.T) string {
	if s.name == fullScenario.name {
		return mounttest.Fresh(t, s.fs, 16*mib)
	}
	return mounttest.Dir(t, s.fs)
}
