package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// The file appears as a whole, on every filesystem, and replaces none unless it may.
func TestGet(t *testing.T) {
	s := newStore(t)
	content := version(1, 2*part+1)
	call(t, programtest.Put(t, t.TempDir(), "file", content), name).Want(t, 0, "", "")
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		to := filepath.Join(dir, "got")
		s.follow(func(string, int) fault {
			mounttest.WantNames(t, dir)
			return passed
		})
		call(t, "-get", name, to).Want(t, 0, to+": "+itoa(len(content))+" bytes of "+name, "")
		mounttest.WantFile(t, to, []byte(content))
		s.follow(nil)
		programtest.Put(t, dir, "got", "precious")
		call(t, "-get", name, to).Want(t, 1, "", "create "+to+": file already exists")
		if s.seen["GetObject"] > 0 {
			t.Error("the object was fetched although the file exists")
		}
		mounttest.WantFile(t, to, []byte("precious"))
		call(t, "-get", "-replace", name, to).Want(t, 0, "", "")
		mounttest.WantFile(t, to, []byte(content))
		mounttest.WantNames(t, dir, "got")
	})
}

// A file that another process makes meanwhile is not replaced.
func TestGetBesideAnother(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	call(t, programtest.Put(t, dir, "file", "content"), name).Want(t, 0, "", "")
	s.follow(func(op string, _ int) fault {
		if op == "GetObject" {
			programtest.Put(t, dir, "got", "precious")
		}
		return passed
	})
	to := filepath.Join(dir, "got")
	call(t, "-get", name, to).Want(t, 1, "", "commit "+to+": ")
	mounttest.WantFile(t, to, []byte("precious"))
}

// Each request of -get and -verify is repeated when it fails, and when the body of the answer ends
// too early.
func TestReceivingIsRepeated(t *testing.T) {
	s := newStore(t)
	content := version(1, 2*part+1)
	dir := t.TempDir()
	file := programtest.Put(t, dir, "file", content)
	call(t, file, name).Want(t, 0, "", "")
	for _, op := range []string{"HeadObject", "GetObject"} {
		for _, f := range []fault{failed, reset, answerLost, answerCut} {
			s.follow(once(op, f))
			to := filepath.Join(t.TempDir(), "got")
			call(t, "-get", name, to).Want(t, 0, "verified", "")
			mounttest.WantFile(t, to, []byte(content))
			s.follow(once(op, f))
			call(t, "-verify", name, file).Want(t, 0, "verified", "")
		}
	}
}

// An object that is damaged on its way or in the store, that has another version meanwhile or that
// ceases to arrive is no file.
func TestGetFails(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	file := programtest.Put(t, dir, "file", version(1, 2*part+1))
	b, key := bucket, strings.TrimPrefix(name, "s3://"+bucket+"/")
	var replace sync.Once
	at := func(nth int, do func(n int) fault) plan {
		return func(op string, n int) fault {
			if op == "GetObject" && n >= nth {
				return do(n)
			}
			return passed
		}
	}
	with := func(f fault) func(int) fault { return func(int) fault { return f } }
	other := func(int) fault {
		replace.Do(func() {
			in := &s3.PutObjectInput{Bucket: &b, Key: &key, Body: strings.NewReader(version(2, 2*part+1))}
			if _, err := s.client.PutObject(t.Context(), in); err != nil {
				t.Error(err)
			}
		})
		return passed
	}
	for _, x := range []struct {
		plan plan
		want string
	}{
		{at(1, with(failed)), "StatusCode: 500"},
		{at(1, with(answerCut)), "unexpected EOF"},
		{at(1, with(answerBroken)), "checksum is"},
		{at(0, other), "the object was replaced meanwhile"},
		{at(1, other), "the object was replaced meanwhile"},
	} {
		for _, args := range [][]string{{"-get", name, filepath.Join(dir, "got")}, {"-verify", name}} {
			s.follow(nil)
			call(t, file, name).Want(t, 0, "", "")
			replace = sync.Once{}
			s.follow(x.plan)
			call(t, args...).Want(t, 1, "", x.want)
			mounttest.WantNames(t, dir, "file")
		}
	}
}

// -verify finds the first byte that differs, and another size.
func TestVerifyFile(t *testing.T) {
	newStore(t)
	content := []byte(version(1, 2*part+1))
	dir := t.TempDir()
	file := programtest.Put(t, dir, "file", string(content))
	call(t, file, name).Want(t, 0, "", "")
	content[part+3]++
	must(t, os.WriteFile(file, content, 0o644))
	call(t, "-verify", name, file).Want(t, 1, "", file+" differs at offset "+itoa(part+3))
	must(t, os.WriteFile(file, content[1:], 0o644))
	call(t, "-verify", name, file).Want(t, 1, "", " bytes and "+file+" has ")
	call(t, "-verify", name).Want(t, 0, "verified", "")
}

// A store that keeps no checksum of the full object is accepted if the user says so.
func TestUnchecked(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	for _, size := range []int{1000, part + 1} {
		file := programtest.Put(t, dir, "file", version(1, size))
		s.follow(func(op string, _ int) fault {
			if op == "UploadPart" { // the gateway refuses an upload without them
				return passed
			}
			return answerBare
		})
		call(t, file, name).Want(t, 1, "", "the store has no CRC-64/NVME checksum")
		call(t, "-unchecked", file, name).Want(t, 0, "", "")
		call(t, "-verify", name).Want(t, 1, "", "the store has no CRC-64/NVME checksum")
		call(t, "-unchecked", "-verify", name, file).
			Want(t, 0, "not verified: the store has no checksum", "")
		s.wantNoUploads(t)
	}
}
