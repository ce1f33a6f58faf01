package adapters_test

import (
	"errors"
	"io"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// Each method of a nil or zero Reader or File, and of one over a snapshot that is nil or zero,
// returns fs.ErrInvalid, if it returns an error, and otherwise zero values. None panics.
//
//promise:adapters.Reader a method of a nil or zero Reader returns fs.ErrInvalid or a zero value
//promise:adapters.File a method of a nil or zero File returns fs.ErrInvalid or a zero value
//promise:adapters.NewReader over a nil or zero snapshot, methods return fs.ErrInvalid
//promise:adapters.NewFile over a nil or zero snapshot, methods return fs.ErrInvalid
func TestZeroValue(t *testing.T) {
	for what, v := range map[string]any{
		"nil Reader":           (*adapters.Reader)(nil),
		"zero Reader":          new(adapters.Reader),
		"Reader of nil":        adapters.NewReader(nil),
		"Reader of nil Mmap":   adapters.NewReader((*snapshot.Mmap)(nil)),
		"Reader of zero Mmap":  adapters.NewReader(new(snapshot.Mmap)),
		"nil File":             (*adapters.File)(nil),
		"zero File":            new(adapters.File),
		"File of nil":          adapters.NewFile(nil),
		"File of zero MmapMut": adapters.NewFile(new(snapshot.MmapMut)),
	} {
		v := reflect.ValueOf(v)
		for method := range v.Type().Methods() {
			t.Run(what+"/"+method.Name, func(t *testing.T) {
				if method.Name == "Close" && strings.HasPrefix(what, "Reader of ") && what != "Reader of nil" {
					t.Skip("Close of a Reader of NewReader does nothing")
				}
				callZero(t, v.MethodByName(method.Name))
			})
		}
	}
}

// callZero calls a method of a value that is not valid.
func callZero(t *testing.T, method reflect.Value) {
	var in []reflect.Value
	for arg := range method.Type().Ins() {
		v := reflect.Zero(arg)
		switch arg {
		case reflect.TypeFor[io.Reader]():
			v = reflect.ValueOf(strings.NewReader("x"))
		case reflect.TypeFor[io.Writer]():
			v = reflect.ValueOf(io.Discard)
		case reflect.TypeFor[[]byte]():
			v = reflect.ValueOf([]byte("x"))
		case reflect.TypeFor[string]():
			v = reflect.ValueOf("text")
		}
		in = append(in, v)
	}
	for _, out := range method.Call(in) {
		if out.Type() != reflect.TypeFor[error]() {
			if !out.IsZero() {
				t.Errorf("%v, not a zero value", out)
			}
		} else if err, _ := out.Interface().(error); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("error %v", err)
		}
	}
}
