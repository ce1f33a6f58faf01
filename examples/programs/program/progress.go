package program

import (
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Progress shows how much of some work is done, if standard error is a terminal: a bar, once
// the work has taken a moment. update may be called from several goroutines, and be a
// snapshot.Config's Progress; when total changes, another piece of work has begun. end takes
// the bar away again.
func (s Std) Progress(what string) (update func(done, total int64), end func()) {
	f, ok := s.Err.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func(int64, int64) {}, func() {}
	}
	const moment = 100 * time.Millisecond
	var mu sync.Mutex
	var bar *progressbar.ProgressBar
	var begin time.Time // of the bar
	end = func() {
		mu.Lock()
		defer mu.Unlock()
		if bar != nil {
			_ = bar.Clear()
			bar = nil
		}
	}
	return func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		if total <= 0 {
			return
		}
		if bar == nil || bar.GetMax64() != total {
			begin = time.Now()
			bar = progressbar.NewOptions64(total,
				progressbar.OptionSetWriter(f),
				progressbar.OptionSetDescription(what),
				progressbar.OptionShowBytes(true),
				progressbar.OptionUseIECUnits(true),
				progressbar.OptionShowCount(),
				progressbar.OptionThrottle(moment),
				progressbar.OptionClearOnFinish(),
			)
			bar.StartWithoutRender() // its rates count from here
		}
		if time.Since(begin) < moment {
			return
		}
		_ = bar.Set64(min(done, total)) // that it cannot be drawn is no reason to stop
	}, end
}
