package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

// get makes an object a file, which appears when all of it is there and compared.
func get(ctx context.Context, std program.Std, o options, name, file string) error {
	from, client, obj, err := find(ctx, o, name)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(file); err == nil && !o.replace {
		return &fs.PathError{Op: "create", Path: file, Err: fs.ErrExist} // the commit looks again
	}
	m, err := snapshot.Config{CheckConflict: !o.replace}.Create(ctx, file)
	if err != nil {
		return err
	}
	defer m.Close() // discards what was not committed
	sum := ""
	err = m.Resize(obj.size)
	if err == nil {
		sum, err = receive(ctx, std, o, client, from, obj, m)
	}
	if err != nil {
		return fmt.Errorf("fetch %s into %s: %w", from, file, err)
	}
	if err := m.CommitAndClose(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.Out, "%s: %d bytes of %s, %s\n",
		program.Printable(file), obj.size, program.Printable(from.String()), verdict(obj, sum))
	return err
}

// verify reads an object, compares it with its checksum and, if file is not "", with a file.
func verify(ctx context.Context, std program.Std, o options, name, file string) error {
	from, client, obj, err := find(ctx, o, name)
	if err != nil {
		return err
	}
	var next io.WriterAt
	same := ""
	if file != "" {
		update, end := std.Progress("copying the file")
		m, err := snapshot.Config{Progress: update}.Open(ctx, file)
		end()
		if err != nil {
			return err
		}
		defer m.Close()
		if m.Size() != obj.size {
			return fmt.Errorf("%s has %d bytes and %s has %d", from, obj.size, file, m.Size())
		}
		next, same = comparison{m}, ", the same as "+program.Printable(file)
	}
	sum, err := receive(ctx, std, o, client, from, obj, next)
	if err != nil {
		return fmt.Errorf("verify %s: %w", from, err)
	}
	_, err = fmt.Fprintf(std.Out, "%s: %d bytes, %s%s\n",
		program.Printable(from.String()), obj.size, verdict(obj, sum), same)
	return err
}

// verdict says how much is known of the bytes that were received.
func verdict(obj object, sum string) string {
	if obj.sum == "" {
		return "not verified: the store has no checksum, full-object CRC-64/NVME " + sum
	}
	return "verified by full-object CRC-64/NVME " + sum
}

// find asks the store for an object.
func find(ctx context.Context, o options, name string) (location, *s3.Client, object, error) {
	at, err := parseLocation(name)
	if err != nil {
		return at, nil, object{}, err
	}
	client, err := connect(ctx, o)
	if err != nil {
		return at, nil, object{}, err
	}
	obj, err := head(ctx, client, at)
	if err != nil {
		err = fmt.Errorf("look up %s: %w", at, err)
	}
	return at, client, obj, err
}

// receive passes all bytes of one version of an object to next, compares them with the checksum
// that the store keeps, and returns theirs.
func receive(
	ctx context.Context, std program.Std, o options,
	client *s3.Client, from location, obj object, next io.WriterAt,
) (string, error) {
	if err := o.compare(obj.sum, obj.sum); err != nil {
		return "", err // an object without a checksum is refused before it is read
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	to := &summedWriter{
		next: next, cancel: cancel, size: obj.size, part: o.partSize, ranges: map[int64]partial{},
	}
	if obj.size > 0 { // a range of nothing is an error
		update, end := std.Progress("receiving")
		_, err := o.manager(client, update).DownloadObject(ctx, &transfermanager.DownloadObjectInput{
			Bucket: &from.bucket, Key: &from.key, WriterAt: to, IfMatch: obj.etag,
		})
		end()
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if hasCode(err, "PreconditionFailed") {
			return "", errors.New("the object was replaced meanwhile")
		}
		if err != nil {
			return "", err
		}
	}
	sum, err := to.total()
	if err != nil {
		return "", err
	}
	return checksum(sum), o.compare(obj.sum, checksum(sum))
}

// A comparison accepts the bytes that are those of a snapshot.
type comparison struct{ m *snapshot.Mmap }

func (c comparison) WriteAt(p []byte, off int64) (int, error) {
	err := c.m.View(off, int64(len(p)), func(b []byte) error {
		if bytes.Equal(p, b) {
			return nil
		}
		i := 0
		for p[i] == b[i] {
			i++
		}
		return fmt.Errorf("%s differs at offset %d", c.m.Name(), off+int64(i))
	})
	return len(p), err
}
