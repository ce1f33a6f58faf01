package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

// A location names an object.
type location struct{ bucket, key string }

func (l location) String() string { return "s3://" + l.bucket + "/" + l.key }

// parseLocation parses s3://bucket/key.
func parseLocation(s string) (location, error) {
	rest, found := strings.CutPrefix(s, "s3://")
	bucket, key, _ := strings.Cut(rest, "/")
	if !found || bucket == "" || key == "" {
		return location{}, program.Usage("%s: want s3://bucket/key", s)
	}
	return location{bucket, key}, nil
}

// adjust is a no-op that tests replace, so that they wait less between the attempts of a request.
var adjust = func(*s3.Options) {}

// connect returns a client of the store. It sends nothing yet.
func connect(ctx context.Context, o options) (*s3.Client, error) {
	load := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if o.region != "" {
		load = append(load, config.WithRegion(o.region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("configuration of the AWS SDK: %w", err)
	}
	if cfg.Region == "" {
		if o.endpoint == "" {
			return nil, program.Usage("no region: want -region, AWS_REGION or a profile that has one")
		}
		cfg.Region = "us-east-1" // most stores that are not of AWS take this one
	}
	return s3.NewFromConfig(cfg, func(s *s3.Options) {
		if o.endpoint != "" {
			s.BaseEndpoint = &o.endpoint
		}
		s.UsePathStyle = o.pathStyle
		adjust(s)
	}), nil
}

// An object is a version of an object, as the store describes it.
type object struct {
	size  int64
	etag  *string
	sum   string // as S3 writes it, or "" if the store keeps none of the full object
	token string // of the upload that made it, if it was this program's
}

// head asks the store for the newest version of an object.
func head(ctx context.Context, client *s3.Client, at location) (object, error) {
	out, err := client.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &at.bucket, Key: &at.key, ChecksumMode: types.ChecksumModeEnabled,
	})
	if err != nil {
		return object{}, err
	}
	obj := object{
		size: aws.ToInt64(out.ContentLength), etag: out.ETag, token: out.Metadata[tokenName],
	}
	if out.ChecksumType != types.ChecksumTypeComposite {
		obj.sum = aws.ToString(out.ChecksumCRC64NVME)
	}
	return obj, nil
}

// hasCode reports whether err is the store's answer, with this code of S3.
func hasCode(err error, code string) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && answer.ErrorCode() == code
}
