package consumers

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// S3 itself takes parts of 5 MiB and more.
const (
	partSize   = 256 << 10
	objectSize = 9*partSize + 1000
)

// An objectServer is as much of S3 as uploads and downloads of one object need. It refuses the
// first try of each request with a body, which the client then sends again.
type objectServer struct {
	mu      sync.Mutex
	object  []byte
	parts   map[int][]byte
	refused map[string]bool
	uploads func() // called at each request with a body
}

func (s *objectServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case r.Method == http.MethodGet:
		w.Header().Set("ETag", etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.object))
	case query.Has("uploads"):
		s.parts = map[int][]byte{}
		_, _ = io.WriteString(w, xmlOf("InitiateMultipartUploadResult", "UploadId"))
	case r.Method == http.MethodPut && !s.refused[r.URL.RequestURI()]:
		s.uploads()
		s.refused[r.URL.RequestURI()] = true
		http.Error(w, "try again", http.StatusServiceUnavailable)
	case r.Method == http.MethodPut && query.Has("partNumber"):
		number, _ := strconv.Atoi(query.Get("partNumber"))
		s.parts[number] = body
		w.Header().Set("ETag", strconv.Quote(query.Get("partNumber")))
	case r.Method == http.MethodPut:
		s.object = body
		w.Header().Set("ETag", etag)
	case r.Method == http.MethodPost:
		var list struct {
			Part []struct{ PartNumber int }
		}
		if err := xml.Unmarshal(body, &list); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.object = nil
		for _, part := range list.Part {
			s.object = append(s.object, s.parts[part.PartNumber]...)
		}
		_, _ = io.WriteString(w, xmlOf("CompleteMultipartUploadResult", "ETag"))
	}
}

// xmlOf returns an answer with one value.
func xmlOf(answer, value string) string {
	return fmt.Sprintf("<%[1]s><%[2]s>1</%[2]s></%[1]s>", answer, value)
}

// uploads are the ways to send a file to S3.
var uploads = map[string]func(ctx context.Context, client *s3.Client, f file) error{
	// The client computes a sum, seeks back and sends the contents, twice.
	"PutObject": func(ctx context.Context, client *s3.Client, f file) error {
		_, err := client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: aws.String("b"), Key: aws.String("k"), Body: f,
		})
		return err
	},
	"TransferManager": func(ctx context.Context, client *s3.Client, f file) error {
		_, err := newManager(client).UploadObject(ctx, &transfermanager.UploadObjectInput{
			Bucket: aws.String("b"), Key: aws.String("k"), Body: f,
		})
		return err
	},
	// Parts of one io.ReaderAt, which are read at the same time.
	"UploadPart": uploadParts,
}

func uploadParts(ctx context.Context, client *s3.Client, f file) error {
	begun, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: aws.String("b"), Key: aws.String("k"),
	})
	if err != nil {
		return err
	}
	n := int((f.Size() + partSize - 1) / partSize)
	done, errs := make([]s3types.CompletedPart, n), make(chan error, n)
	for i := range n {
		go func() {
			off := int64(i) * partSize
			part, err := client.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: aws.String("b"), Key: aws.String("k"), UploadId: begun.UploadId,
				PartNumber: aws.Int32(int32(i + 1)),
				Body:       io.NewSectionReader(f, off, min(partSize, f.Size()-off)),
			})
			if err == nil {
				done[i] = s3types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: part.ETag}
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			return err
		}
	}
	_, err = client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: aws.String("b"), Key: aws.String("k"), UploadId: begun.UploadId,
		MultipartUpload: &s3types.CompletedMultipartUpload{Parts: done},
	})
	return err
}

func newManager(client *s3.Client) *transfermanager.Client {
	return transfermanager.New(client, func(o *transfermanager.Options) {
		o.PartSizeBytes, o.MultipartUploadThreshold, o.Concurrency = partSize, partSize, 2
		o.GetObjectType = types.GetObjectRanges
	})
}

// newClient returns a client of a new server.
func newClient(t *testing.T) (*s3.Client, *objectServer) {
	t.Helper()
	handler := &objectServer{refused: map[string]bool{}, uploads: func() {}}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(server.URL),
		UsePathStyle: true,
		Region:       "r",
		HTTPClient:   server.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret"}, nil
		}),
		Retryer: quickRetryer{},
	}), handler
}

// quickRetryer tries again at once.
type quickRetryer struct{ aws.NopRetryer }

func (quickRetryer) IsErrorRetryable(error) bool                  { return true }
func (quickRetryer) MaxAttempts() int                             { return 2 }
func (quickRetryer) RetryDelay(int, error) (time.Duration, error) { return 0, nil }
func (quickRetryer) GetInitialToken() (release func(error) error) { return noToken }
func (quickRetryer) GetRetryToken(context.Context, error) (func(error) error, error) {
	return noToken, nil
}
func noToken(error) error { return nil }

// The file is overwritten, truncated or replaced while its upload has begun, and each request is
// sent again after that.
func TestS3Upload(t *testing.T) {
	content := noise(objectSize)
	for name, upload := range uploads {
		t.Run(name, func(t *testing.T) {
			survives(t, content, func(t *testing.T, f file, damage func()) error {
				client, server := newClient(t)
				var once sync.Once
				server.uploads = func() { once.Do(damage) }
				if err := upload(t.Context(), client, f); err != nil {
					return err
				}
				if !bytes.Equal(server.object, content) {
					return fmt.Errorf("the object has %d other bytes", len(server.object))
				}
				return nil
			})
		})
	}
}

// Parts are written where they belong by several goroutines, in any order, and the file shows when
// all of them are there.
func TestS3Download(t *testing.T) {
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		client, server := newClient(t)
		server.object = noise(objectSize)
		name := filepath.Join(dir, "f")
		f, err := adapters.Create(name)
		must(t, err)
		_, err = newManager(client).DownloadObject(t.Context(), &transfermanager.DownloadObjectInput{
			Bucket: aws.String("b"), Key: aws.String("k"), WriterAt: f,
		})
		must(t, err)
		if _, err := os.Stat(name); !os.IsNotExist(err) {
			t.Errorf("the file is there before Close: %v", err)
		}
		must(t, f.Close())
		mounttest.WantFile(t, name, server.object)
	})
}
