package main

import (
	"cmp"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// colors can be told apart by those who do not see all of them (Okabe and Ito).
var colors = []color.Color{
	color.RGBA{0x00, 0x72, 0xB2, 0xFF}, // blue: ours
	color.RGBA{0xD5, 0x5E, 0x00, 0xFF}, // vermilion
	color.RGBA{0x00, 0x9E, 0x73, 0xFF}, // green
	color.RGBA{0x80, 0x80, 0x80, 0xFF}, // gray
	color.RGBA{0xE6, 0x9F, 0x00, 0xFF}, // orange
}

// wider is how much wider text may be than is reckoned with, where its font is not there.
const wider = 1.15

// A picture is a plot that is being made.
type picture struct {
	*plot.Plot
	err   error
	any   bool
	width vg.Length
}

func newPlot(x, y string) *picture {
	p := &picture{Plot: plot.New(), width: 18 * vg.Centimeter}
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, size := range []*font.Length{
		&p.X.Label.TextStyle.Font.Size, &p.Y.Label.TextStyle.Font.Size,
		&p.X.Tick.Label.Font.Size, &p.Y.Tick.Label.Font.Size, &p.Legend.TextStyle.Font.Size,
	} {
		*size = 11
	}
	for _, f := range []*font.Font{
		&p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font,
		&p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font,
	} {
		f.Variant = "Sans"
	}
	p.X.Padding, p.Y.Padding = 6, 6
	p.X.Label.Padding, p.Y.Label.Padding = 6, 6
	p.BackgroundColor = color.White
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{0xE4}, color.Gray{0xE4}
	p.Add(grid)
	return p
}

// line adds a line with a point for each value, from left to right.
func (p *picture) line(name string, c int, dashed bool, points plotter.XYs) {
	if len(points) == 0 || p.err != nil {
		return
	}
	points = slices.Clone(points)
	slices.SortStableFunc(points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
	line, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		p.err = err
		return
	}
	line.Color, line.Width = colors[c], 2
	dots.Color, dots.Shape, dots.Radius = colors[c], draw.CircleGlyph{}, 3
	if dashed {
		line.Dashes = []vg.Length{6, 4}
		dots.Shape = draw.RingGlyph{}
	}
	p.Add(line, dots)
	p.Legend.Add(name, line, dots)
	p.any = true
}

// logSizes makes x an axis of sizes, with as many marks as there is room for.
func (p *picture) logSizes() {
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = ticks(func(low, high float64) (t []plot.Tick) {
		step := 2.0
		if math.Log2(high/low) > 12 {
			step = 4
		}
		for e := math.Floor(math.Log2(low)/2) * 2; math.Exp2(e) <= high*1.01; e += step {
			t = append(t, plot.Tick{Value: math.Exp2(e), Label: bytesLabel(math.Exp2(e))})
		}
		return t
	})
}

// logTimes makes y an axis of seconds, and logRates one of numbers.
func (p *picture) logTimes() { p.logY(timeLabel) }

func (p *picture) logRates() { p.logY(func(x float64) string { return text(x) }) }

func (p *picture) logY(label func(float64) string) {
	p.Y.Scale = plot.LogScale{}
	p.Y.Tick.Marker = ticks(func(low, high float64) (t []plot.Tick) {
		for e := math.Floor(math.Log10(low)); math.Pow(10, e) <= high*1.01; e++ {
			x := math.Pow(10, e)
			t = append(t, plot.Tick{Value: x, Label: label(x)})
			for k := 2.0; k < 10; k++ {
				t = append(t, plot.Tick{Value: k * x})
			}
		}
		return t
	})
}

type ticks func(low, high float64) []plot.Tick

func (f ticks) Ticks(low, high float64) []plot.Tick { return f(low, high) }

// fromZero begins y at zero.
func (p *picture) fromZero() { p.Y.Min = 0 }

// bars adds groups of bars.
func (p *picture) bars(groups, names []string, values []plotter.Values) {
	if len(groups) == 0 {
		return
	}
	const width = 28
	for i, v := range values {
		if len(v) != len(groups) || len(v) == 0 || p.err != nil {
			continue
		}
		bar, err := plotter.NewBarChart(v, width)
		if err != nil {
			p.err = err
			return
		}
		bar.Color, bar.LineStyle.Width = []color.Color{colors[0], colors[2]}[i], 0
		bar.Offset = vg.Length(float64(i)-float64(len(values)-1)/2) * (width + 2)
		p.Add(bar)
		p.Legend.Add(names[i], bar)
		p.any = true
	}
	p.NominalX(groups...)
	p.fromZero()
}

// stacked adds horizontal bars of two parts.
func (p *picture) stacked(rows, names []string, a, b plotter.Values) {
	if len(rows) == 0 {
		return
	}
	var below *plotter.BarChart
	for i, v := range []plotter.Values{a, b} {
		bar, err := plotter.NewBarChart(v, 16)
		if err != nil {
			p.err = err
			return
		}
		bar.Color, bar.LineStyle.Width, bar.Horizontal = []color.Color{colors[2], colors[1]}[i], 0, true
		if below != nil {
			bar.StackOn(below)
		}
		below = bar
		p.Add(bar)
		p.Legend.Add(names[i], bar)
	}
	p.NominalY(rows...)
	p.X.Min, p.any = 0, true
}

// save writes the picture, with the legend beside it.
func (p *picture) save(path string) (bool, error) {
	if p.err != nil || !p.any {
		return false, p.err
	}
	// Room for the ends of lines and bars at the top.
	if _, log := p.Y.Scale.(plot.LogScale); log {
		p.Y.Max *= 1.3
	} else {
		p.Y.Max += (p.Y.Max - p.Y.Min) / 20
	}
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding = 3
	p.Legend.ThumbnailWidth = 28
	canvas, err := draw.NewFormattedCanvas(p.width, 11*vg.Centimeter, "svg")
	if err != nil {
		return false, err
	}
	whole := draw.New(canvas)
	whole.SetColor(color.White)
	whole.Fill(whole.Rectangle.Path())
	// The plot draws its legend over the data: so it draws none, and has room beside it.
	legend := p.Legend
	p.Legend = plot.NewLegend()
	room := legend.Rectangle(whole).Size().X*wider + 14
	p.Draw(draw.Crop(whole, 4, -room, 6, -6))
	legend.Draw(draw.Crop(whole, whole.Rectangle.Size().X-room+8, 0, 0, -10))
	return true, write(path, canvas)
}
