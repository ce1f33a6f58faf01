package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"

	"github.com/mmapsnapshot/mmapsnapshot/adapters"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// tokenName is the name of the metadata of an object that says which run of this program sent it.
const tokenName = "upload-token"

// send makes one version of a file an object.
func send(ctx context.Context, std program.Std, o options, file, name string) error {
	to, err := parseLocation(name)
	if err != nil {
		return err
	}
	client, err := connect(ctx, o)
	if err != nil {
		return err
	}
	update, end := std.Progress("copying the file")
	m, err := snapshot.Config{Progress: update}.Open(ctx, file)
	end()
	if err != nil {
		return err
	}
	defer m.Close()
	// From here on it does not matter what becomes of the file.
	body := &summedReader{ReadSeeker: adapters.NewReader(m)}
	multi := &multipart{Client: client, body: body, token: rand.Text(), parts: map[int32]*string{}}
	update, end = std.Progress("sending")
	out, err := o.manager(multi, update).UploadObject(ctx, &transfermanager.UploadObjectInput{
		Bucket: &to.bucket, Key: &to.key, Body: body,
		Metadata:          map[string]string{tokenName: multi.token},
		ChecksumAlgorithm: "CRC64NVME", // package types has no name for it
		ChecksumType:      types.ChecksumTypeFullObject,
	})
	end()
	if multi.left {
		shown := program.Printable(to.String())
		fmt.Fprintf(std.Err,
			"upload: an unfinished upload may be left in the store: upload -abort %s\n", shown)
	}
	sum := checksum(body.sum)
	if err == nil {
		err = o.compare(aws.ToString(out.ChecksumCRC64NVME), sum)
	}
	if err != nil {
		return fmt.Errorf("send %s to %s: %w", file, to, err)
	}
	_, err = fmt.Fprintf(std.Out, "%s: %d bytes, full-object CRC-64/NVME %s, a %v of %s\n",
		program.Printable(to.String()), m.Size(), sum, m.Method(), program.Printable(file))
	return err
}

// manager returns a transfer manager that reports progress.
func (o options) manager(
	client transfermanager.S3APIClient, update func(done, total int64),
) *transfermanager.Client {
	return transfermanager.New(client, func(t *transfermanager.Options) {
		t.PartSizeBytes = o.partSize
		t.MultipartUploadThreshold = o.partSize
		t.Concurrency = o.jobs
		t.GetObjectType = types.GetObjectRanges
		t.DisableChecksumValidation = true // ranges have none; a summedWriter has the object's
		t.ObjectProgressListeners.Register(progress(update))
	})
}

// progress is a listener of the transfer manager.
type progress func(done, total int64)

func (p progress) OnObjectBytesTransferred(
	_ context.Context, e *transfermanager.ObjectBytesTransferredEvent,
) {
	p(e.BytesTransferred, e.TotalBytes)
}

// compare compares the checksum that the store has of an object with that of the bytes that were
// sent or received.
func (o options) compare(store, sum string) error {
	switch {
	case store == "" && o.unchecked, store == sum:
		return nil
	case store == "":
		return errors.New(
			"the store has no CRC-64/NVME checksum of the full object (-unchecked accepts that)")
	}
	return fmt.Errorf("the full-object CRC-64/NVME checksum is %s in the store and %s here",
		store, sum)
}
