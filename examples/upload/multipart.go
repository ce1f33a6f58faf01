package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// grace is how long a request that has to be made goes on when the context has ended.
const grace = 10 * time.Second

// A multipart is the client of the transfer manager for one object. The requests that begin and
// end a multipart upload are its own, so that none is left in the store, or the user learns of it.
type multipart struct {
	*s3.Client
	body  *summedReader
	token string

	left bool // an unfinished upload may be left

	mu    sync.Mutex // guards parts
	parts map[int32]*string
}

// CreateMultipartUpload does not end with the context: the store could have made the upload, and
// this process would not know its ID.
func (m *multipart) CreateMultipartUpload(
	ctx context.Context, in *s3.CreateMultipartUploadInput, opts ...func(*s3.Options),
) (*s3.CreateMultipartUploadOutput, error) {
	ctx, stop := outlast(ctx)
	defer stop()
	out, err := m.Client.CreateMultipartUpload(ctx, in, opts...)
	if err != nil {
		m.left = mayHaveActed(err)
		return nil, err
	}
	attempts, _ := retry.GetAttemptResults(out.ResultMetadata)
	for _, attempt := range attempts.Results {
		m.left = m.left || mayHaveActed(attempt.Err)
	}
	return out, nil
}

// UploadPart keeps the checksum of the part. The store wants it back at the end, and the transfer
// manager loses it, if the algorithm is CRC-64/NVME.
func (m *multipart) UploadPart(
	ctx context.Context, in *s3.UploadPartInput, opts ...func(*s3.Options),
) (*s3.UploadPartOutput, error) {
	out, err := m.Client.UploadPart(ctx, in, opts...)
	if err == nil {
		m.mu.Lock()
		m.parts[*in.PartNumber] = out.ChecksumCRC64NVME
		m.mu.Unlock()
	}
	return out, err
}

// CompleteMultipartUpload gives the store the checksum of the full object to compare. If the store
// has made the object and its answer was lost, the upload is gone when the request is repeated, or
// the second answer has no checksum. The object itself then says whether it is the one.
func (m *multipart) CompleteMultipartUpload(
	ctx context.Context, in *s3.CompleteMultipartUploadInput, opts ...func(*s3.Options),
) (*s3.CompleteMultipartUploadOutput, error) {
	sum := checksum(m.body.sum)
	in.ChecksumCRC64NVME = &sum
	in.ChecksumType = types.ChecksumTypeFullObject
	m.mu.Lock()
	for i := range in.MultipartUpload.Parts {
		part := &in.MultipartUpload.Parts[i]
		part.ChecksumCRC64NVME = m.parts[*part.PartNumber]
	}
	m.mu.Unlock()
	out, err := m.Client.CompleteMultipartUpload(ctx, in, opts...)
	if err == nil && out.ChecksumCRC64NVME != nil {
		return out, nil
	}
	obj, headErr := head(ctx, m.Client, location{*in.Bucket, *in.Key})
	if headErr != nil || obj.token != m.token {
		return out, err
	}
	return &s3.CompleteMultipartUploadOutput{
		Bucket: in.Bucket, Key: in.Key, ETag: obj.etag, ChecksumCRC64NVME: &obj.sum,
	}, nil
}

// AbortMultipartUpload removes the parts. A part that was on its way can arrive after the abort and
// stay: S3 asks for repeated aborts. The later ones find no upload, as a rule.
func (m *multipart) AbortMultipartUpload(
	ctx context.Context, in *s3.AbortMultipartUploadInput, opts ...func(*s3.Options),
) (*s3.AbortMultipartUploadOutput, error) {
	ctx, stop := outlast(ctx)
	defer stop()
	for _, pause := range []time.Duration{0, 100 * time.Millisecond, time.Second} {
		time.Sleep(pause)
		_, err := m.Client.AbortMultipartUpload(ctx, in, opts...)
		if err != nil && !hasCode(err, "NoSuchUpload") {
			m.left = true
			return nil, err
		}
	}
	return &s3.AbortMultipartUploadOutput{}, nil
}

// mayHaveActed reports whether the store may have done what a failed request asked for.
func mayHaveActed(err error) bool {
	if err == nil {
		return false
	}
	var answer interface{ HTTPStatusCode() int }
	if errors.As(err, &answer) && answer.HTTPStatusCode() != 0 {
		status := answer.HTTPStatusCode()
		return status/100 != 4 && status != http.StatusServiceUnavailable
	}
	var dial *net.OpError
	return !errors.As(err, &dial) || dial.Op != "dial"
}

// outlast returns a context that ends some time after ctx.
func outlast(ctx context.Context) (context.Context, func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return longer, func() { stop(); cancel() }
}
