package main

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// Each request of an upload is repeated when it fails. If that could make a second multipart
// upload, the user learns of it.
func TestSendingIsRepeated(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	v := 0 // no two objects are the same
	for op, size := range map[string]int{
		"PutObject": 1000, "CreateMultipartUpload": part + 1,
		"UploadPart": part + 1, "CompleteMultipartUpload": part + 1,
	} {
		for _, f := range []fault{failed, reset, resetMiddle, answerLost, answerCut} {
			v++
			file := programtest.Put(t, dir, "file", version(v, size))
			s.follow(once(op, f))
			r := call(t, file, name)
			tries := s.seen[op]
			left := strings.Contains(r.Err, "may be left")
			ids := s.uploads(t)
			if r.Status != 0 || len(ids) > 0 && !left || left && op != "CreateMultipartUpload" {
				t.Errorf("%s, fault %d: %+v, unfinished %q", op, f, r, ids)
			}
			if tries < 2 && f != answerCut { // an empty body cannot be cut
				t.Errorf("%s, fault %d: %d attempts", op, f, tries)
			}
			call(t, "-verify", name, file).Want(t, 0, "the same", "")
			if left {
				call(t, "-abort", name)
			}
			s.wantNoUploads(t)
		}
	}
}

// A part that fails for good is an error with one line that names everything. The object stays what
// it was.
func TestPartFailsForGood(t *testing.T) {
	s := newStore(t)
	old := version(1, 1000)
	dir := t.TempDir()
	file := programtest.Put(t, dir, "file", old)
	call(t, file, name).Want(t, 0, "", "")
	programtest.Put(t, dir, "file", version(2, 4*part))
	for _, f := range []fault{failed, reset, resetMiddle} {
		s.follow(func(op string, n int) fault {
			if op == "UploadPart" && n > 0 {
				return f
			}
			return passed
		})
		r := call(t, file, name)
		r.Want(t, 1, "", "send "+file+" to "+name+": ")
		for _, part := range []string{"UploadPart", "exceeded maximum number of attempts, 3"} {
			if !strings.Contains(r.Err, part) {
				t.Errorf("no %q in %q", part, r.Err)
			}
		}
		if strings.Count(r.Err, "\n") != 1 || strings.Contains(r.Err, "\u202e") {
			t.Errorf("not one printable line: %q", r.Err)
		}
		s.wantNoUploads(t)
		wantContent(t, s.content(t), old)
	}
}

// The store compares the checksum with all parts, and makes no object of others.
func TestStoreCompares(t *testing.T) {
	s := newStore(t)
	to, err := parseLocation(name)
	must(t, err)
	other := &summedReader{sum: 1} // not the one of the body
	m := &multipart{Client: s.client, body: other, parts: map[int32]*string{}}
	o := options{partSize: part, jobs: 2}
	in := &transfermanager.UploadObjectInput{
		Bucket: &to.bucket, Key: &to.key, Body: strings.NewReader(version(1, part+1)),
		ChecksumAlgorithm: "CRC64NVME", ChecksumType: types.ChecksumTypeFullObject,
	}
	_, err = o.manager(m, func(int64, int64) {}).UploadObject(t.Context(), in)
	if !hasCode(err, "BadDigest") {
		t.Errorf("%v", err)
	}
	s.wantNoUploads(t)
	if s.content(t) != "" {
		t.Error("there is an object")
	}
}

// If the parts cannot be removed either, the program says how to, and -abort does.
func TestAbort(t *testing.T) {
	s := newStore(t)
	file := programtest.Put(t, t.TempDir(), "file", version(1, 2*part))
	for range 2 {
		s.follow(func(op string, _ int) fault {
			if op == "UploadPart" || op == "AbortMultipartUpload" {
				return failed
			}
			return passed
		})
		call(t, file, name).Want(t, 1, "", "upload -abort "+name+"\n")
	}
	// The store says that the upload is gone, and still has it.
	s.follow(func(op string, n int) fault {
		switch {
		case op == "UploadPart":
			return failed
		case op == "AbortMultipartUpload" && n == 0:
			return pretended
		}
		return passed
	})
	r := call(t, file, name)
	if r.Status != 1 || strings.Contains(r.Err, "left") {
		t.Errorf("%+v", r)
	}
	s.follow(nil)
	call(t, file, name+"-other").Want(t, 0, "", "")
	if ids := s.uploads(t); len(ids) != 2 {
		t.Fatalf("unfinished uploads: %q", ids)
	}
	call(t, "-abort", strings.TrimSuffix(name, "t")).Want(t, 0, "", "")
	if ids := s.uploads(t); len(ids) != 2 {
		t.Errorf("uploads of another object were aborted: %q", ids)
	}
	r = call(t, "-abort", name)
	if r.Want(t, 0, "aborted: upload ", ""); strings.Count(r.Out, "\n") != 2 {
		t.Errorf("%q", r.Out)
	}
	s.wantNoUploads(t)
}

// When the server is killed, upload fails, and says that parts may be left; when it is back, they
// can be removed, and everything works. The file of -get is not there.
func TestServerKilled(t *testing.T) {
	s := newStore(t)
	content := version(1, 4*part)
	dir := t.TempDir()
	file, to := programtest.Put(t, dir, "file", content), filepath.Join(dir, "got")
	killAt := func(hit string) {
		var once sync.Once
		s.follow(func(op string, n int) fault {
			if op == hit && n > 0 {
				once.Do(s.kill)
			}
			return passed
		})
	}
	killAt("UploadPart")
	r := call(t, file, name)
	r.Want(t, 1, "", "send "+file+" to "+name+": ")
	r.Want(t, 1, "", "may be left in the store: upload -abort "+name+"\n")
	s.start()
	if s.content(t) != "" {
		t.Error("there is an object")
	}
	call(t, "-abort", name).Want(t, 0, "aborted: ", "")
	s.wantNoUploads(t)
	call(t, file, name).Want(t, 0, "", "")

	killAt("GetObject")
	call(t, "-get", name, to).Want(t, 1, "", "fetch "+name+" into "+to+": ")
	mounttest.WantNames(t, dir, "file")
	s.start()
	call(t, "-get", name, to).Want(t, 0, "", "")
	call(t, "-verify", name, to).Want(t, 0, "the same as "+to, "")
}
