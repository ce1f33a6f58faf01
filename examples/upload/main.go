// Command upload sends one version of a file that other processes are writing to a store that
// speaks the S3 protocol, and fetches and verifies what it has sent.
//
//	upload data.img s3://backups/data.img               sends the file
//	upload -get s3://backups/data.img restored.img      fetches the object into a new file
//	upload -verify s3://backups/data.img                reads the object and compares its checksum
//	upload -verify s3://backups/data.img data.img       compares the object with a file as well
//	upload -abort s3://backups/data.img                 removes unfinished uploads of the object
//
// The file is read through a snapshot, so all parts of the object are of one version, whatever
// happens to the file meanwhile. The transfer manager of the AWS SDK for Go sends the parts in
// parallel and repeats those that fail. The object appears in the store when the last part is
// there, as a whole. If upload fails or is interrupted, it removes the parts from the store; if it
// cannot, it says so.
//
// The checksum is CRC-64/NVME of the full object, not a composite of checksums of parts. The
// program computes it from the bytes of the snapshot, and the store compares it with the object
// before the object appears. -get and -verify compute it again from the bytes that they receive.
//
// The file of -get appears under its name when all of it has been compared and is on the disk.
//
// The exit status is 0; 1 if something failed, or an object is not what its checksum says or not
// the same as the file; 2 for wrong usage.
//
// Each file is one idea: main.go reads the command line, store.go finds the store, send.go sends a
// file, multipart.go leaves no multipart upload behind, receive.go fetches and verifies, sum.go has
// the checksum, abort.go removes what others left.
package main

import (
	"context"
	"flag"
	"io"
	"log"
	"net/url"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

const usage = `usage: upload [flags] file s3://bucket/key
       upload -get [flags] s3://bucket/key file
       upload -verify [flags] s3://bucket/key [file]
       upload -abort [flags] s3://bucket/key

Sends one version of a file to an S3-compatible store; fetches an object into a new file; reads an
object and compares it with its checksum, and with a file; or removes unfinished uploads of an
object. Credentials are those of the AWS SDK: environment, ~/.aws, web identity, ECS, EC2.

`

func main() {
	log.SetOutput(io.Discard) // the transfer manager logs errors that it also returns
	program.Main("upload", run)
}

// options are what the flags say.
type options struct {
	get, verify, abort bool

	region, endpoint string
	pathStyle        bool

	partSize  int64 // bytes
	jobs      int
	replace   bool
	unchecked bool
}

func run(ctx context.Context, args []string, std program.Std) error {
	if err := command(ctx, args, std); err != nil {
		return &shown{err}
	}
	return nil
}

// A shown error has one line of printable text. A store chooses parts of the text of its errors,
// and other users choose names of files.
type shown struct{ err error }

func (s *shown) Error() string { return program.Printable(s.err.Error()) }
func (s *shown) Unwrap() error { return s.err }

// command does what the arguments say.
func command(ctx context.Context, args []string, std program.Std) error {
	o, names, err := parse(args, std)
	if err != nil {
		return err
	}
	switch {
	case o.get:
		return get(ctx, std, o, names[0], names[1])
	case o.verify:
		return verify(ctx, std, o, names[0], append(names, "")[1])
	case o.abort:
		return abort(ctx, std, o, names[0])
	}
	return send(ctx, std, o, names[0], names[1])
}

// parse returns the options and the other arguments.
func parse(args []string, std program.Std) (o options, names []string, err error) {
	flags := flag.NewFlagSet("upload", flag.ContinueOnError)
	flags.BoolVar(&o.get, "get", false, "fetch the object into a new file")
	flags.BoolVar(&o.verify, "verify", false,
		"compare the object with its checksum, and with the file if there is one")
	flags.BoolVar(&o.abort, "abort", false,
		"remove all unfinished uploads of the object, also those of other processes")
	flags.StringVar(&o.region, "region", "",
		"the `region` of the bucket, instead of the SDK's configuration")
	flags.StringVar(&o.endpoint, "endpoint", "",
		"the `URL` of the store, instead of the SDK's configuration")
	flags.BoolVar(&o.pathStyle, "path-style", false,
		"put the bucket into the path of URLs, not into the name of the host")
	part := flags.Int64("part-size", 8,
		"the size of a part in `MiB`, 5 to 5120; larger if there were more than 10000 parts")
	flags.IntVar(&o.jobs, "jobs", 5, "how many parts to transfer at a time")
	flags.BoolVar(&o.replace, "replace", false, "let -get replace a file that exists")
	flags.BoolVar(&o.unchecked, "unchecked", false,
		"accept an object for which the store keeps no CRC-64/NVME checksum of the full object")
	if err := program.Parse(flags, usage, args, std); err != nil {
		return o, nil, err
	}
	names = flags.Args()
	modes, most := 0, 2
	for _, mode := range []bool{o.get, o.verify, o.abort} {
		if mode {
			modes++
		}
	}
	least := most
	switch {
	case o.verify:
		least = 1
	case o.abort:
		least, most = 1, 1
	}
	if modes > 1 || len(names) < least || len(names) > most {
		return o, nil, program.Usage(
			"want one of -get, -verify, -abort or none, and a file and an object as they need")
	}
	if *part < 5 || *part > 5120 {
		return o, nil, program.Usage("-part-size must be between 5 and 5120")
	}
	if o.jobs < 1 || o.jobs > 1024 {
		return o, nil, program.Usage("-jobs must be between 1 and 1024")
	}
	if o.endpoint != "" && !isEndpoint(o.endpoint) {
		return o, nil, program.Usage("-endpoint must be a URL as https://s3.example.org")
	}
	o.partSize = *part << 20
	return o, names, nil
}

// isEndpoint reports whether s is the URL of a server.
func isEndpoint(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}
