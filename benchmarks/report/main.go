package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	var o options
	flag.IntVar(&o.count, "count", 6, "how many times to run each benchmark; a confidence interval takes six")
	flag.BoolVar(&o.quick, "quick", false, "small sizes, and once: the figures mean little")
	flag.BoolVar(&o.render, "render", false, "run nothing: use the raw output that is there")
	flag.StringVar(&o.out, "out", "../results", "directory to write to")
	flag.Parse()
	if err := o.main(); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

type options struct {
	count         int
	quick, render bool
	out           string
}

func (o options) main() error {
	if err := os.MkdirAll(o.out, 0o777); err != nil {
		return err
	}
	var failed error // what did not run: the report shows the rest
	if !o.render {
		failed = o.run()
	}
	r, err := read(o.out)
	if err != nil {
		return errors.Join(failed, err)
	}
	shown, err := r.charts(o.out)
	if err == nil {
		err = os.WriteFile(filepath.Join(o.out, "README.md"), r.markdown(shown), 0o666)
	}
	return errors.Join(failed, err)
}
