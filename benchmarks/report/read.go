package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

// A report is all that was measured.
type report struct {
	config []benchfmt.Config // of the first result
	rows   []*row            // in the order in which they ran
	cells  []cell
	stalls []stall
	crash  []crash
}

// A row is one benchmark with one set of parameters.
type row struct {
	suite  string // the last element of its package
	bench  string // without the parameters
	params []param
	ways   []string             // what was compared, in order
	times  map[string][]float64 // seconds an operation took, of each way
	values map[string][]float64 // all other metrics, by unit
}

type param struct{ key, value string }

func (r *row) get(key string) string {
	for _, p := range r.params {
		if p.key == key {
			return p.value
		}
	}
	return ""
}

func (r *row) name() string {
	var parts []string
	for _, p := range r.params {
		parts = append(parts, p.key+"="+p.value)
	}
	return strings.Join(parts, " ")
}

// time returns the median, in seconds, of a way.
func (r *row) time(way string) (float64, bool) { return center(r.times[way]) }

// value returns the median of another metric.
func (r *row) value(unit string) (float64, bool) { return center(r.values[unit]) }

func center(x []float64) (float64, bool) {
	if len(x) == 0 {
		return 0, false
	}
	return summary(x).Center, true
}

// summary returns the median and its confidence interval.
func summary(x []float64) benchmath.Summary {
	return benchmath.AssumeNothing.Summary(benchmath.NewSample(x, &benchmath.DefaultThresholds), 0.95)
}

func read(dir string) (*report, error) {
	r := &report{}
	if err := r.readBenchmarks(filepath.Join(dir, rawBenchmarks)); err != nil {
		return nil, err
	}
	for _, x := range []struct {
		name  string
		parse func(data []byte) error
	}{{rawScenarios, r.parseCells}, {rawStall, r.parseStalls}, {rawCrash, r.parseCrash}} {
		data, err := os.ReadFile(filepath.Join(dir, x.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the report does without
		}
		if err == nil {
			err = x.parse(data)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.name, err)
		}
	}
	return r, nil
}

func (r *report) readBenchmarks(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	rows := map[string]*row{}
	for in := benchfmt.NewReader(f, name); ; {
		if !in.Scan() {
			return in.Err()
		}
		if res, ok := in.Result().(*benchfmt.Result); ok {
			r.add(rows, res)
		}
	}
}

// add adds a result to its row.
func (r *report) add(rows map[string]*row, res *benchfmt.Result) {
	if r.config == nil {
		r.config = res.Clone().Config
	}
	base, parts := res.Name.Parts()
	pkg := res.GetConfig("pkg")
	key := pkg + " " + string(res.Name.Full())
	if rows[key] == nil {
		n := &row{suite: filepath.Base(pkg), bench: string(base), times: map[string][]float64{}, values: map[string][]float64{}}
		for _, p := range parts {
			if k, v, ok := strings.Cut(strings.TrimPrefix(string(p), "/"), "="); ok {
				n.params = append(n.params, param{k, v})
			}
		}
		rows[key] = n
		r.rows = append(r.rows, n)
	}
	n := rows[key]
	for _, v := range res.Values {
		if way, ok := strings.CutSuffix(v.Unit, "-sec/op"); ok && !strings.Contains(way, "/") {
			if n.times[way] == nil {
				n.ways = append(n.ways, way)
			}
			n.times[way] = append(n.times[way], v.Value)
		} else {
			n.values[v.Unit] = append(n.values[v.Unit], v.Value)
		}
	}
}

// find returns the rows of a benchmark whose parameters are these, given as key=value: of our
// own, for those beside peers can have the same name.
func (r *report) find(bench string, params ...string) []*row {
	var found []*row
next:
	for _, n := range r.rows {
		if n.suite != "benchmarks" || n.bench != bench {
			continue
		}
		for _, p := range params {
			if k, v, _ := strings.Cut(p, "="); n.get(k) != v {
				continue next
			}
		}
		found = append(found, n)
	}
	return found
}
