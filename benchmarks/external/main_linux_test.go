package external

import (
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/benchmarks/external/fusetest"
)

func TestMain(m *testing.M) { fusetest.Main(m) }
