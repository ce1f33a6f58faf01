package adapters_test

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// program turns bytes into calls: one byte for the method, two for an offset, two for a length.
func program(code []byte) []call {
	var calls []call
	for ; len(code) >= 5 && len(calls) < 100; code = code[5:] {
		off := int64(code[1])<<8 | int64(code[2])
		n := int(code[3])<<8 | int(code[4])
		data := string(bytes.Repeat([]byte{code[2]%250 + 1, code[3], code[4]}, n/3+1)[:n])
		switch code[0] % 15 {
		case 0:
			calls = append(calls, fRead(n))
		case 1:
			calls = append(calls, fReadAt(n, off-100))
		case 2:
			calls = append(calls, fWrite(data))
		case 3:
			calls = append(calls, fWriteAt(data, off-100))
		case 4:
			calls = append(calls, fSeek(off-100, io.SeekStart))
		case 5:
			calls = append(calls, fSeek(off-1<<15, io.SeekCurrent))
		case 6:
			calls = append(calls, fSeek(off-1<<15, n%3))
		case 7:
			calls = append(calls, fTruncate(off-100))
		case 8:
			calls = append(calls, fReadFrom(data))
		case 9:
			calls = append(calls, fWriteTo())
		case 10:
			calls = append(calls, fByte())
		case 11:
			calls = append(calls, fWriteString(data))
		case 12:
			calls = append(calls, fSync())
		case 13:
			calls = append(calls, fRune())
		case 14:
			calls = append(calls, fStatSize())
		}
	}
	return calls
}

// fByte reads a byte, gives it back and reads it again; the *os.File just reads it.
func fByte() call {
	return call{"ReadByte", func(f readFile) (int64, string, error) {
		r, ok := f.(byteReader)
		if !ok {
			return fRead(1).do(f)
		}
		c, err := r.ReadByte()
		if err != nil {
			return 0, "\x00", err
		}
		if err := r.UnreadByte(); err != nil {
			return 0, "", err
		}
		again, err := r.ReadByte()
		if again != c {
			return 0, "another byte", err
		}
		return 1, string([]byte{c}), err
	}}
}

// fRune reads a rune, gives it back and reads it again, as a bufio.Reader over the *os.File does.
func fRune() call {
	return call{"ReadRune", func(f readFile) (int64, string, error) {
		r, ok := f.(byteReader)
		if !ok {
			at, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return 0, "", err
			}
			c, size, err := bufio.NewReader(f).ReadRune()
			if _, serr := f.Seek(at+int64(size), io.SeekStart); serr != nil {
				return 0, "", serr
			}
			return int64(size), string(c), err
		}
		before := r.Len()
		c, size, err := r.ReadRune()
		if err != nil {
			return int64(size), string(c), err
		}
		if before-r.Len() != size {
			return 0, "another length", nil
		}
		if err := r.UnreadRune(); err != nil {
			return 0, "", err
		}
		if again, _, err := r.ReadRune(); again != c || err != nil {
			return 0, "another rune", err
		}
		return int64(size), string(c), nil
	}}
}

func fStatSize() call {
	return call{"Stat", func(f readFile) (int64, string, error) {
		st, err := f.(file).Stat()
		if err != nil {
			return 0, "", err
		}
		return st.Size(), st.Mode().String(), nil
	}}
}

// FuzzLikeOSFile makes the same calls to a File and to an *os.File, and compares also what is
// on the disk after a Sync.
//
//promise:adapters.File any sequence of calls has the results of an *os.File
//promise:adapters.File.Sync after Sync and Close the disk has the bytes of the File
func FuzzLikeOSFile(f *testing.F) {
	f.Add(uint16(10000), []byte("\x00\x00\x00\x10\x00"+"\x02\x00\x00\x01\x00"+"\x0c\x00\x00\x00\x00"))                    // Read, Write, Sync
	f.Add(uint16(4096), []byte("\x06\x90\x00\x00\x02"+"\x02\x00\x07\x01\x01"+"\x05\x70\x00\x00\x00"+"\x09abcd"))          // Seek behind the end, Write, back, WriteTo
	f.Add(uint16(0), []byte("\x03\x20\x00\x00\x09"+"\x07\x10\x00\x00\x00"+"\x03\x11\x00\x00\x09"+"\x0c\x00\x00\x00\x00")) // a gap, cut, a gap
	f.Add(uint16(1), []byte("\x0a\x00\x00\x00\x00"+"\x0a\x00\x00\x00\x00"+"\x08\x00\x05\xff\xff"+"\x0b\x00\x01\x00\x02")) // ReadByte twice, ReadFrom, WriteString
	f.Add(uint16(8192), []byte("\x07\x00\x00\x00\x00"+"\x07\x20\x64\x00\x00"+"\x01\x10\x00\x20\x00"+"\x04\x00\x00\x00\x00"))
	f.Add(uint16(4096), []byte("\x04\x10\x62\x00\x00"+"\x0d\x00\x00\x00\x00"+"\x0d\x00\x00\x00\x00"+"\x0d\x00\x00\x00\x00")) // ReadRune up to the end
	f.Add(uint16(100), []byte("\x02\x01\xc2\x85\x09"+"\x04\x00\x64\x00\x00"+"\x0d\x00\x00\x00\x00"+"\x0e\x00\x00\x00\x00"))

	dir := mounttest.Dir(f, mounttest.Memory)
	f.Fuzz(func(t *testing.T, size uint16, code []byte) {
		content := random(int(size))
		ourName, err := os.MkdirTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(ourName)
		theirName := put(t, ourName, "theirs", content)
		ourName = put(t, ourName, "ours", content)
		ours := openFile(t, ourName)
		theirs, err := os.OpenFile(theirName, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()

		committed := content
		for _, c := range program(code) {
			step(t, c, ours, theirs, ourName, theirName)
			if c.text == "Sync" {
				if committed, err = os.ReadFile(theirName); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := ours.Close(); err != nil {
			t.Fatal(err)
		}
		onDisk, err := os.ReadFile(ourName)
		if err != nil {
			t.Fatal(err)
		}
		same(t, onDisk, committed)
	})
}
