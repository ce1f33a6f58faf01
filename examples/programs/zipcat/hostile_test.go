package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// endRecord returns the last record of a zip archive, which says where its directory is.
func endRecord(members, size, offset int) []byte {
	b := append([]byte("PK\x05\x06"), 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(members))
	b = binary.LittleEndian.AppendUint16(b, uint16(members))
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = binary.LittleEndian.AppendUint32(b, uint32(offset))
	return append(b, 0, 0)
}

// split returns the members of an archive and its directory.
func split(archive string) (members, directory string) {
	begin, end := strings.Index(archive, "PK\x01\x02"), strings.LastIndex(archive, "PK\x05\x06")
	return archive[:begin], archive[begin:end]
}

// Members that share data are refused but for one, whether their data are the same or begin within
// those of another; the rest of the archive is read.
func TestOverlap(t *testing.T) {
	dir := t.TempDir()
	content := strings.Repeat("\x00", 5<<20)
	local, entry := split(archive(t, zip.Deflate, member{"a", content, 0}))
	const n = 300
	same := local + strings.Repeat(entry, n) + string(endRecord(n, n*len(entry), len(local)))
	name := programtest.Put(t, dir, "same.zip", same)
	r := programtest.Call(t, run, name)
	if r.Want(t, 1, "", "prog: a: overlaps another member: such an archive is damaged"); len(r.Out) != len(content) {
		t.Errorf("%d bytes of output from %d of archive", len(r.Out), len(same))
	}
	r = programtest.Call(t, run, "-d", filepath.Join(dir, "out"), name)
	r.Want(t, 1, "", "a: overlaps another member")
	mounttest.WantNames(t, filepath.Join(dir, "out"), "a")

	// The data of the first member contain the second, header and all.
	local, entries := split(archive(t, zip.Store, member{"a", "first", 0}, member{"b", "second", 0}, member{"c", "third", 0}))
	whole := []byte(entries)
	binary.LittleEndian.PutUint32(whole[20:], uint32(strings.Index(local, "third")-strings.Index(local, "first"))) // compressed size
	within := local + string(whole) + string(endRecord(3, len(whole), len(local)))
	r = programtest.Call(t, run, programtest.Put(t, dir, "within.zip", within))
	r.Want(t, 1, "third", "b: overlaps another member")
	if strings.Contains(r.Err, "c: overlaps") {
		t.Errorf("the end of one is the beginning of another: %s", r.Err)
	}
	programtest.Call(t, run, "-l", name).Want(t, 0, "", "") // to list them is harmless
}

// Nothing is written of an archive whose contents exceed the limit.
func TestLimit(t *testing.T) {
	dir := t.TempDir()
	name := programtest.Put(t, dir, "a.zip", archive(t, zip.Deflate, member{"a", strings.Repeat("\x00", 1<<20), 0}, member{"b", "x", 0}))
	out := filepath.Join(dir, "out")
	const refused = "nothing is written: the contents have 1048577 bytes, the limit is 1048576"
	for _, args := range [][]string{{"-limit", "1", name}, {"-limit", "1", "-d", out, name}} {
		if r := programtest.Call(t, run, args...); r.Out != "" {
			t.Errorf("%q: %d bytes", args, len(r.Out))
		} else {
			r.Want(t, 1, "", refused)
		}
	}
	if _, err := os.Lstat(out); err == nil {
		t.Error("the directory was made")
	}
	programtest.Call(t, run, "-limit", "1", name, "a").Want(t, 0, "", "")
	programtest.Call(t, run, "-limit", "2", name).Want(t, 0, "x", "")

	// A bomb meets the default: a member that claims, and has, 1 GiB and a byte.
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateRaw(&zip.FileHeader{Name: "bomb", Method: zip.Deflate, UncompressedSize64: 1<<30 + 1, CompressedSize64: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	programtest.Call(t, run, programtest.Put(t, dir, "bomb.zip", b.String())).Want(t, 1, "", "the limit is 1073741824")
}

// A member that has more than it claims is an error after what it claims.
func TestMoreThanClaimed(t *testing.T) {
	dir := t.TempDir()
	a := []byte(archive(t, zip.Deflate, member{"a", strings.Repeat("\x00", 1<<20), 0}))
	entry := bytes.Index(a, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(a[entry+24:], 1000) // uncompressed size
	r := programtest.Call(t, run, programtest.Put(t, dir, "a.zip", string(a)))
	if r.Want(t, 1, "", "a: zip: not a valid zip file"); len(r.Out) > 1000 {
		t.Errorf("%d bytes", len(r.Out))
	}
}

// No name in an archive makes a line that looks like a message, or sends a terminal commands.
func TestHostileNames(t *testing.T) {
	dir := t.TempDir()
	members := []member{{"../up\nprog: all members verified", "x", 0}, {"a\x1b]0;title\x07", "x", 0},
		{strings.Repeat("d/", maxDepth+1) + "deep", "x", 0}, {"fine", "x", 0}}
	name := programtest.Put(t, dir, "a.zip", archive(t, zip.Store, members...))
	out := filepath.Join(dir, "out")
	for range 2 { // the second time, files exist
		r := programtest.Call(t, run, "-d", out, name)
		r.Want(t, 1, "", "below more than 255 directories\n")
		for line := range strings.Lines(r.Err) {
			if strings.Contains(line, "\x1b") || strings.HasPrefix(line, "prog: all") {
				t.Errorf("%q", line)
			}
		}
	}
	entries, err := os.ReadDir(out)
	if err != nil || len(entries) != 2 {
		t.Errorf("extracted: %v, %v", entries, err)
	}
	torn := strings.ReplaceAll(archive(t, zip.Store, member{"\x1b[2J\nprog: all members verified", "content", 0}), "content", "cantent")
	r := programtest.Call(t, run, programtest.Put(t, dir, "torn.zip", torn))
	r.Want(t, 1, "cantent", fmt.Sprintf("%q: zip: checksum error", "\x1b[2J\nprog: all members verified"))
}

// The errors about members that overlap grow with the archive, not with its square: none repeats
// the name of another member.
func TestOverlapErrorsAreShort(t *testing.T) {
	long := strings.Repeat("n", 60_000)
	local, first := split(archive(t, zip.Store, member{long, "content", 0}))
	local2, entry := split(archive(t, zip.Store, member{"a", "content", 0}))
	second := []byte(entry)
	binary.LittleEndian.PutUint32(second[42:], uint32(len(local))) // offset of the header
	binary.LittleEndian.PutUint32(second[20:], 1)                  // compressed size
	whole := []byte(first)
	data := strings.Index(local, "content")
	binary.LittleEndian.PutUint32(whole[20:], uint32(len(local)+len(local2)-data))
	const n = 200
	directory := string(whole) + strings.Repeat(string(second), n)
	all := local + local2 + directory + string(endRecord(n+1, len(directory), len(local)+len(local2)))
	r := programtest.Call(t, run, programtest.Put(t, t.TempDir(), "a.zip", all))
	r.Want(t, 1, "", "prog: a: overlaps another member")
	if len(r.Err) > 2*len(all) {
		t.Errorf("%d bytes of errors from %d of archive", len(r.Err), len(all))
	}
}

// Each of many patterns that match nothing is an error, and they take no minutes.
func TestManyPatterns(t *testing.T) {
	name := programtest.Put(t, t.TempDir(), "a.zip", archive(t, zip.Store, member{"a", "content", 0}))
	const n = 20_000
	var patterns strings.Builder
	for i := range n {
		fmt.Fprintln(&patterns, "missing", i)
	}
	r := programtest.CallWith(t, run, patterns.String(), nil, name, "-")
	if r.Want(t, 1, "", "prog: no member matches \"missing 0\"\n"); strings.Count(r.Err, "\n") != n {
		t.Errorf("%d lines", strings.Count(r.Err, "\n"))
	}
}

// An interruption between two members is an error, although the first one is complete.
func TestInterruptedBetweenMembers(t *testing.T) {
	a := archive(t, zip.Store, member{"d/", "", 0}, member{"f", "content", 0})
	r, err := zip.NewReader(strings.NewReader(a), int64(len(a)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var none strings.Builder
	if err := extract(ctx, program.Std{Err: &none}, t.TempDir(), r.File); !errors.Is(err, context.Canceled) {
		t.Errorf("extract: %v", err)
	}
	if err := cat(ctx, &none, r.File[:1]); !errors.Is(err, context.Canceled) {
		t.Errorf("cat: %v", err)
	}
}
