package consumers

import (
	"errors"
	"fmt"
	"io"
	"testing"

	arrowfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/parquet-go/parquet-go"
)

// A record is a row of a Parquet file.
type record struct {
	ID   int64  `parquet:"id"`
	Text string `parquet:"text"`
}

const (
	groups    = 10
	groupRows = 500
)

// newRecord returns row i.
func newRecord(i int64) record {
	return record{ID: i * 7, Text: fmt.Sprintf("%x", noise(64)[i%32:])}
}

// parquetFile returns a Parquet file of groups*groupRows records.
func parquetFile(t *testing.T) []byte {
	t.Helper()
	return written(t, func(w io.Writer) error {
		pw := parquet.NewGenericWriter[record](w)
		for i := range int64(groups * groupRows) {
			if _, err := pw.Write([]record{newRecord(i)}); err != nil {
				return err
			}
			if i%groupRows == groupRows-1 {
				if err := pw.Flush(); err != nil {
					return err
				}
			}
		}
		return pw.Close()
	})
}

func TestParquet(t *testing.T) {
	survives(t, parquetFile(t), func(_ *testing.T, f file, damage func()) error {
		p, err := parquet.OpenFile(f, f.Size())
		if err != nil {
			return err
		}
		r := parquet.NewGenericReader[record](p)
		defer r.Close()
		rows, next := make([]record, 50), int64(0)
		for {
			n, err := r.Read(rows)
			for _, got := range rows[:n] {
				if err := wantEqual("a row", got, newRecord(next)); err != nil {
					return err
				}
				next++
			}
			if errors.Is(err, io.EOF) {
				return wantEqual("the number of rows", next, groups*groupRows)
			}
			if err != nil {
				return err
			}
			if next == int64(len(rows)) {
				damage()
			}
		}
	})
}

func TestArrowParquet(t *testing.T) {
	survives(t, parquetFile(t), func(_ *testing.T, f file, damage func()) error {
		r, err := arrowfile.NewParquetReader(f)
		if err != nil {
			return err
		}
		next := int64(0)
		for group := range r.NumRowGroups() {
			if group == 1 {
				damage()
			}
			column, err := r.RowGroup(group).Column(0)
			if err != nil {
				return err
			}
			ids := column.(*arrowfile.Int64ColumnChunkReader)
			for values := make([]int64, 100); ids.HasNext(); {
				_, n, err := ids.ReadBatch(int64(len(values)), values, nil, nil)
				if err != nil {
					return err
				}
				for _, id := range values[:n] {
					if err := wantEqual("an id", id, newRecord(next).ID); err != nil {
						return err
					}
					next++
				}
			}
			if err := ids.Err(); err != nil {
				return err
			}
		}
		return wantEqual("the number of rows", next, groups*groupRows)
	})
}
