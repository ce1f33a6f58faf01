package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func itoa(i int) string { return strconv.Itoa(i) }

// A store is a gateway behind a proxy, with one bucket.
type store struct {
	*gateway
	*proxy
	client *s3.Client
}

const (
	bucket = "bucket"
	name   = "s3://" + bucket + "/dir/object"
	part   = 5 << 20
)

// newStore starts a store and makes it the one that the SDK uses.
func newStore(t *testing.T) *store {
	t.Helper()
	g := newGateway(t)
	s := &store{gateway: g, proxy: newProxy(t, g)}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_REGION": "us-east-1",
		"AWS_ENDPOINT_URL": s.server.URL, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	// It leaves no connection open.
	alone := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	adjust = func(o *s3.Options) {
		o.HTTPClient = alone
		o.Retryer = retry.AddWithMaxBackoffDelay(retry.NewStandard(), time.Millisecond)
	}
	var err error
	s.client, err = connect(t.Context(), options{pathStyle: true})
	must(t, err)
	b := bucket
	_, err = s.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &b})
	must(t, err)
	return s
}

// call calls the program with the parts as small as they can be.
func call(t *testing.T, args ...string) programtest.Result {
	t.Helper()
	return programtest.Call(t, run, append([]string{"-path-style", "-part-size", "5"}, args...)...)
}

// uploads returns the IDs of the unfinished uploads.
func (s *store) uploads(t *testing.T) (ids []string) {
	t.Helper()
	s.follow(nil)
	b := bucket
	out, err := s.client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &b})
	must(t, err)
	for _, u := range out.Uploads {
		ids = append(ids, *u.UploadId)
	}
	return ids
}

// wantNoUploads fails the test if there are unfinished uploads.
func (s *store) wantNoUploads(t *testing.T) {
	t.Helper()
	if ids := s.uploads(t); len(ids) > 0 {
		t.Errorf("unfinished uploads: %q", ids)
	}
}

// content returns the object, or "" if there is none.
func (s *store) content(t *testing.T) string {
	t.Helper()
	s.follow(nil)
	to := t.TempDir() + "/got"
	r := call(t, "-get", name, to)
	if r.Status != 0 && strings.Contains(r.Err, "StatusCode: 404") {
		return ""
	}
	r.Want(t, 0, "verified by full-object CRC-64/NVME", "")
	b, err := os.ReadFile(to)
	must(t, err)
	return string(b)
}

// version returns contents in which each word names the version and its own place.
func version(v, size int) string {
	b := make([]byte, 0, size+32)
	for i := 0; len(b) < size; i++ {
		b = fmt.Appendf(b, "version-%d-word-%d\n", v, i)
	}
	return string(b[:size])
}

// wantContent fails the test unless got is one of the versions.
func wantContent(t *testing.T, got string, versions ...string) {
	t.Helper()
	for _, v := range versions {
		if got == v {
			return
		}
	}
	words := map[string]int{}
	for line := range strings.Lines(got) {
		words[line[:min(len(line), len("version-1"))]]++
	}
	t.Errorf("%d bytes are no version: %v", len(got), words)
}
