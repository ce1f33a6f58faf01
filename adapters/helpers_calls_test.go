package adapters_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// A call is one call of a method. It returns the count and, of a read, the bytes.
type call struct {
	text string
	do   func(f readFile) (n int64, data string, err error)
}

func fRead(size int) call {
	return call{fmt.Sprintf("Read(%d)", size), func(f readFile) (int64, string, error) {
		p := make([]byte, size)
		n, err := f.Read(p)
		return int64(n), string(p), err
	}}
}

func fReadAt(size int, off int64) call {
	return call{fmt.Sprintf("ReadAt(%d, %d)", size, off), func(f readFile) (int64, string, error) {
		p := make([]byte, size)
		n, err := f.ReadAt(p, off)
		return int64(n), string(p), err
	}}
}

func fSeek(off int64, whence int) call {
	return call{fmt.Sprintf("Seek(%d, %d)", off, whence), func(f readFile) (int64, string, error) {
		n, err := f.Seek(off, whence)
		return n, "", err
	}}
}

func fWriteTo() call {
	return call{"WriteTo", func(f readFile) (int64, string, error) {
		var b bytes.Buffer
		n, err := f.WriteTo(onlyWriter{&b})
		return n, b.String(), err
	}}
}

func fReaddir() call {
	return call{"Readdir", func(f readFile) (int64, string, error) {
		infos, err := f.Readdir(-1)
		return int64(len(infos)), "", err
	}}
}

func fReaddirnames() call {
	return call{"Readdirnames", func(f readFile) (int64, string, error) {
		names, err := f.(file).Readdirnames(-1)
		return int64(len(names)), "", err
	}}
}

func fClose() call {
	return call{"Close", func(f readFile) (int64, string, error) { return 0, "", f.Close() }}
}

func fWrite(p string) call {
	return call{fmt.Sprintf("Write(%.20q)", p), func(f readFile) (int64, string, error) {
		n, err := f.(file).Write([]byte(p))
		return int64(n), "", err
	}}
}

func fWriteString(p string) call {
	return call{fmt.Sprintf("WriteString(%.20q)", p), func(f readFile) (int64, string, error) {
		n, err := f.(file).WriteString(p)
		return int64(n), "", err
	}}
}

func fWriteAt(p string, off int64) call {
	return call{fmt.Sprintf("WriteAt(%.20q, %d)", p, off), func(f readFile) (int64, string, error) {
		n, err := f.(file).WriteAt([]byte(p), off)
		return int64(n), "", err
	}}
}

func fReadFrom(p string) call {
	return call{fmt.Sprintf("ReadFrom(%.20q)", p), func(f readFile) (int64, string, error) {
		n, err := f.(file).ReadFrom(struct{ io.Reader }{strings.NewReader(p)})
		return n, "", err
	}}
}

func fTruncate(size int64) call {
	return call{fmt.Sprintf("Truncate(%d)", size), func(f readFile) (int64, string, error) {
		return 0, "", f.(file).Truncate(size)
	}}
}

func fSync() call {
	return call{"Sync", func(f readFile) (int64, string, error) { return 0, "", f.(file).Sync() }}
}

func fChmod(mode fs.FileMode) call {
	return call{"Chmod", func(f readFile) (int64, string, error) { return 0, "", f.(file).Chmod(mode) }}
}

func fStat() call {
	return call{"Stat", func(f readFile) (int64, string, error) {
		st, err := f.Stat()
		if err != nil {
			return 0, "", err
		}
		return st.Size(), fmt.Sprint(st.Name(), st.Mode(), st.IsDir()), nil
	}}
}
