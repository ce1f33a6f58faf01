package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

func bytesLabel(x float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if x >= u.size {
			return fmt.Sprintf("%g %s", x/u.size, u.name)
		}
	}
	return fmt.Sprintf("%g B", x)
}

func timeLabel(x float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}} {
		if x >= u.size*0.999 {
			return fmt.Sprintf("%.3g %s", x/u.size, u.name)
		}
	}
	return fmt.Sprintf("%.3g ns", x*1e9)
}

// fonts replaces the one font that the plotting library names by those that are like it.
var fonts = [2][]byte{[]byte("font-family:Liberation Sans"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif")}

// write writes a canvas to a file.
func write(path string, canvas io.WriterTo) error {
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return err
	}
	return os.WriteFile(path, bytes.ReplaceAll(b.Bytes(), fonts[0], fonts[1]), 0o666)
}
