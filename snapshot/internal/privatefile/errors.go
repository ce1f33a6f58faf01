package privatefile

import (
	"errors"
	"fmt"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot/internal/retry"
)

var (
	ErrUnstable    = errors.New("no consistent copy could be made")
	errChanged     = retry.Transient(fmt.Errorf("%w: the file changed while it was copied", ErrUnstable))
	errLeaseBroken = retry.Transient(fmt.Errorf("%w: a writer waited for too long", ErrUnstable))
	errSizeUnknown = fmt.Errorf("%w: it holds more than its size says", errors.ErrUnsupported)
)
