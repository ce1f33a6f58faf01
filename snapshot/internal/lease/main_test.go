package lease

import (
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

func TestMain(m *testing.M) { mounttest.Main(m) }
