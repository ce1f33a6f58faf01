package snapshot_test

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"reflect"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// Each method of a nil or zero snapshot returns fs.ErrInvalid, if it returns an error, and otherwise
// zero values. None panics.
//
//promise:snapshot.Mmap a method of a nil or zero Mmap returns fs.ErrInvalid or a zero value
//promise:snapshot.MmapMut a method of a nil or zero MmapMut returns fs.ErrInvalid or a zero value
//promise:snapshot.Mmap.Name Name of a nil or zero Mmap is empty
//promise:snapshot.MmapMut.Name Name of a nil or zero MmapMut is empty
func TestZeroValue(t *testing.T) {
	for _, m := range []any{
		(*snapshot.Mmap)(nil), new(snapshot.Mmap), (*snapshot.MmapMut)(nil), new(snapshot.MmapMut),
	} {
		v := reflect.ValueOf(m)
		for method := range v.Type().Methods() {
			if method.Name == "String" {
				continue // see TestString
			}
			t.Run(method.Name, func(t *testing.T) { callZero(t, v.MethodByName(method.Name)) })
		}
	}
}

// callZero calls a method of a value that is not valid.
func callZero(t *testing.T, method reflect.Value) {
	var in []reflect.Value
	for arg := range method.Type().Ins() {
		v := reflect.Zero(arg)
		switch arg {
		case reflect.TypeFor[context.Context]():
			v = reflect.ValueOf(t.Context())
		case reflect.TypeFor[[]byte]():
			v = reflect.ValueOf([]byte("x"))
		case reflect.TypeFor[string]():
			v = reflect.ValueOf("name")
		}
		in = append(in, v)
	}
	for _, out := range method.Call(in) {
		if changed, ok := out.Interface().(iter.Seq2[snapshot.Range, error]); ok {
			n := 0
			for r, err := range changed {
				if n++; n > 1 || r != (snapshot.Range{}) || !errors.Is(err, fs.ErrInvalid) {
					t.Errorf("yield %d: %v, %v", n, r, err)
				}
			}
			if n != 1 {
				t.Errorf("%d yields", n)
			}
			continue
		}
		if out.Type() != reflect.TypeFor[error]() {
			if !out.IsZero() {
				t.Errorf("%v, not a zero value", out)
			}
		} else if err, _ := out.Interface().(error); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("error %v", err)
		}
	}
}
