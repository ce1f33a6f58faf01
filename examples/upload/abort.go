package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

// abort removes the unfinished uploads of an object: those that were killed, and those that are
// under way.
func abort(ctx context.Context, std program.Std, o options, name string) error {
	at, err := parseLocation(name)
	if err != nil {
		return err
	}
	client, err := connect(ctx, o)
	if err != nil {
		return err
	}
	pages := s3.NewListMultipartUploadsPaginator(client, &s3.ListMultipartUploadsInput{
		Bucket: &at.bucket, Prefix: &at.key,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list unfinished uploads of %s: %w", at, err)
		}
		for _, u := range page.Uploads {
			if aws.ToString(u.Key) != at.key { // it only begins with the key
				continue
			}
			in := &s3.AbortMultipartUploadInput{Bucket: &at.bucket, Key: &at.key, UploadId: u.UploadId}
			_, err := client.AbortMultipartUpload(ctx, in)
			if err != nil && !hasCode(err, "NoSuchUpload") { // another process has ended it
				return fmt.Errorf("abort an upload of %s: %w", at, err)
			}
			id, begun := program.Printable(aws.ToString(u.UploadId)), aws.ToTime(u.Initiated)
			_, err = fmt.Fprintf(std.Out, "aborted: upload %s of %s\n", id, begun.Format(time.RFC3339))
			if err != nil {
				return err
			}
		}
	}
	return nil
}
