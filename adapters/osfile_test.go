package adapters_test

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

var (
	_ readFile = (*adapters.Reader)(nil)
	_ file     = (*os.File)(nil)
	_ file     = (*adapters.File)(nil)
)

const large = math.MaxInt64

// Each line is made from a new file of 10 000 bytes.
var readTable = [][]call{
	{fRead(0), fRead(10), fRead(9000), fRead(2000), fRead(10), fRead(0)},
	{fReadAt(10, 0), fReadAt(10, 9990), fReadAt(10, 9991), fReadAt(10, 9999), fReadAt(10, 10000), fReadAt(10, 10001), fReadAt(10, large-10)},
	{fReadAt(0, 0), fReadAt(0, 10000), fReadAt(0, 20000), fReadAt(0, -1), fReadAt(1, -1), fReadAt(10, math.MinInt64)},
	{fSeek(100, io.SeekStart), fRead(5), fSeek(-50, io.SeekCurrent), fRead(5), fSeek(-5, io.SeekEnd), fRead(10), fRead(10)},
	{fSeek(-1, io.SeekStart), fSeek(5, io.SeekStart), fSeek(-6, io.SeekCurrent), fRead(3), fSeek(-10001, io.SeekEnd), fRead(3)},
	{fSeek(20000, io.SeekStart), fRead(5), fRead(0), fWriteTo(), fSeek(5, io.SeekEnd), fRead(1), fSeek(-6, io.SeekCurrent), fRead(9)},
	{fSeek(1, io.SeekStart), fSeek(large, io.SeekCurrent), fSeek(large, io.SeekEnd), fRead(1)},
	{fSeek(0, 17), fRead(1), fSeek(0, -1), fRead(1)},
	{fWriteTo(), fWriteTo(), fRead(1), fSeek(9000, io.SeekStart), fWriteTo()},
	{fSeek(0, 3), fSeek(5, 3), fSeek(9999, 4), fSeek(10000, 3), fSeek(10000, 4), fSeek(1, 4), fRead(1)},
	{fStat(), fReaddir(), fClose(), fStat(), fSeek(0, 3), fSeek(0, 4)},
	{fClose(), fClose(), fRead(1), fRead(0), fReadAt(1, 0), fReadAt(1, 20000), fSeek(0, io.SeekStart), fSeek(-1, 99), fWriteTo()},
	{fSeek(0, io.SeekEnd), fClose(), fRead(1), fRead(0), fWriteTo()},
}

var writeTable = [][]call{
	{fWrite("hello"), fRead(5), fWriteString("again"), fSeek(0, io.SeekStart), fRead(20)},
	{fWriteAt("hello", 0), fWriteAt("hello", 9990), fWriteAt("hello", 9995), fRead(3)},
	{fWriteAt("hello", 9996), fRead(5), fWriteAt("hello", 10001), fWriteAt("hello", 20000), fStat(), fSeek(0, io.SeekEnd), fRead(1)},
	{fWriteAt("", 0), fWriteAt("", 20000), fWriteAt("", -1), fWriteAt("x", -1), fWriteAt("x", math.MinInt64), fWriteAt("xy", large)},
	{fSeek(0, io.SeekEnd), fWrite("end"), fStat(), fWrite(""), fSeek(100, io.SeekCurrent), fWrite(""), fStat(), fWrite("gap"), fStat()},
	{fSeek(12000, io.SeekStart), fRead(5), fWriteString("gap"), fSeek(-3, io.SeekCurrent), fRead(5), fSeek(9999, io.SeekStart), fRead(2005)},
	{fSeek(5, io.SeekStart), fTruncate(3), fStat(), fRead(1), fWrite("x"), fTruncate(0), fStat(), fRead(1), fWriteTo()},
	{fTruncate(5000), fTruncate(15000), fStat(), fReadAt(10000, 4990), fTruncate(-1), fStat(), fRead(4)},
	{fTruncate(0), fWrite("new"), fSync(), fWrite("er"), fSync(), fStat(), fSeek(0, io.SeekStart), fRead(10)},
	{fReadFrom("hello"), fRead(5), fSeek(-2, io.SeekEnd), fReadFrom("hello"), fReadFrom(""), fReadFrom(strings.Repeat("long", 100000)), fStat()},
	{fWrite(strings.Repeat("0123456789", 100000)), fWriteString(strings.Repeat("9876543210", 50000)), fStat(), fSeek(0, io.SeekStart), fWriteTo()},
	{fClose(), fClose(), fWrite("x"), fWrite(""), fWriteString("x"), fWriteAt("x", 0), fWriteAt("x", 20000), fWriteAt("x", large)},
	{fReaddirnames(), fClose(), fChmod(0o600)},
	{fClose(), fTruncate(5), fTruncate(20000), fTruncate(-1), fSync(), fStat(), fReadFrom("x"), fWriteTo()},
}

// TestLikeOSFile makes the same calls to a File and to an *os.File.
//
//promise:adapters.File each call has the count, bytes, error and cursor of an *os.File
//promise:adapters.File.Read Read is like os.File.Read
//promise:adapters.File.ReadAt ReadAt is like os.File.ReadAt
//promise:adapters.File.Seek Seek is like os.File.Seek
//promise:adapters.File.Write Write is like os.File.Write and fills gaps behind the end with zeros
//promise:adapters.File.WriteAt WriteAt is like os.File.WriteAt, also behind the end
//promise:adapters.File.WriteString WriteString is like os.File.WriteString
//promise:adapters.File.Truncate Truncate is like os.File.Truncate
//promise:adapters.File.WriteTo WriteTo is like os.File.WriteTo
//promise:adapters.File.ReadFrom ReadFrom is like os.File.ReadFrom
//promise:adapters.File.Readdir Readdir is like that of an os.File that is no directory
//promise:adapters.File.Readdirnames Readdirnames is like that of an os.File that is no directory
//promise:adapters.OpenFile a File of OpenFile is like an os.File, with O_APPEND, too
func TestLikeOSFile(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		for i, calls := range append(writeTable, readTable...) {
			pair(t, dir, i, os.O_RDWR, calls, func(name string) readFile { return openFile(t, name) })
			for what, flag := range map[string]int{"OpenFile": os.O_RDWR, "append": os.O_RDWR | os.O_APPEND} {
				t.Run(what, func(t *testing.T) {
					pair(t, dir, i, flag, calls, func(name string) readFile { return openFlag(t, name, flag) })
				})
			}
		}
	})
}

// TestReaderLikeOSFile makes the same calls to a Reader and to an *os.File open for reading.
//
//promise:adapters.Reader each call has the count, bytes, error and cursor of an *os.File
//promise:adapters.Reader.Read Read is like os.File.Read
//promise:adapters.Reader.ReadAt ReadAt is like os.File.ReadAt
//promise:adapters.Reader.Seek Seek is like os.File.Seek, also with SEEK_DATA and SEEK_HOLE
//promise:adapters.Reader.Stat Stat has the name, size and mode that os.File.Stat has
//promise:adapters.Reader.Readdir Readdir is like that of an os.File that is no directory
//promise:adapters.Reader.Close Close of a Reader of Open is like os.File.Close
//promise:adapters.Open a Reader of Open is like an os.File of os.Open
func TestReaderLikeOSFile(t *testing.T) {
	for i, calls := range readTable {
		pair(t, t.TempDir(), i, os.O_RDONLY, calls, func(name string) readFile {
			return openReader(t, name)
		})
	}
}

func pair(t *testing.T, dir string, i, flag int, calls []call, open func(name string) readFile) {
	content := random(10000)
	ourName := put(t, dir, "f", content)
	theirDir, err := os.MkdirTemp(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	theirName := put(t, theirDir, "f", content)
	ours := open(ourName)
	theirs, err := os.OpenFile(theirName, flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	defer theirs.Close()
	t.Run(fmt.Sprint(i), func(t *testing.T) {
		for _, c := range calls {
			step(t, c, ours, theirs, ourName, theirName)
		}
	})
}
