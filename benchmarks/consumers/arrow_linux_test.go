package consumers

import (
	"io"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

const (
	batches   = 10
	batchRows = 1000
)

func TestArrowIPC(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)
	content := written(t, func(w io.Writer) error {
		iw, err := ipc.NewFileWriter(w, ipc.WithSchema(schema))
		if err != nil {
			return err
		}
		for i := range batches {
			b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
			ids := b.Field(0).(*array.Int64Builder)
			for k := range batchRows {
				ids.Append(int64(i*batchRows+k) * 3)
			}
			if err := iw.Write(b.NewRecordBatch()); err != nil {
				return err
			}
		}
		return iw.Close()
	})
	survives(t, content, func(_ *testing.T, f file, damage func()) error {
		r, err := ipc.NewFileReader(f)
		if err != nil {
			return err
		}
		defer r.Close()
		if err := wantEqual("the number of batches", r.NumRecords(), batches); err != nil {
			return err
		}
		for i := range batches {
			if i == 1 {
				damage()
			}
			batch, err := r.RecordBatch(i)
			if err != nil {
				return err
			}
			ids := batch.Column(0).(*array.Int64)
			for k := range batchRows {
				if err := wantEqual("an id", ids.Value(k), int64(i*batchRows+k)*3); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
