package adapters_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"testing"
)

const members = 40

func member(i int) (name string, content []byte) {
	content = bytes.Repeat([]byte(fmt.Sprintf("line of member %d\n", i)), 100*i)
	return fmt.Sprintf("dir/%d.txt", i), append(content, random(1000*i)...)
}

func zipped(tb testing.TB) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range members {
		name, content := member(i)
		f, err := w.Create(name)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := f.Write(content); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func tarred(tb testing.TB) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range members {
		name, content := member(i)
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(tb testing.TB, content []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}
