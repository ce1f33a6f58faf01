// Command zipcat lists, prints and extracts the members of a zip archive that somebody may be
// replacing, truncating or deleting meanwhile: it reads a snapshot, so all it shows is of one
// version of the archive.
//
//	zipcat -l archive.zip                     lists the members
//	zipcat archive.zip 'doc/*.txt'            writes the contents of some to standard output
//	zipcat -d out archive.zip                 extracts all of them below the directory out
//	zipcat archive.zip - <patterns            takes the patterns from standard input
//
// The exit status is 0, or 1 if something failed, or 2 for wrong usage. A damaged member does
// not keep zipcat from the others.
//
// An archive of somebody else cannot fill the disk: of members that overlap only one is read, and
// nothing is written if the contents exceed -limit. Nothing is written outside the directory of -d,
// nothing replaced there, and no link made. Names are quoted if a terminal might take them as
// commands. Contents on standard output are written as they are.
//
// Each file is one idea: main.go opens the archive, select.go chooses members, overlap.go refuses
// those that share data, extract.go writes them below a directory and nowhere else.
package main

import (
	"archive/zip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

const usage = `usage: zipcat [-lazy] [-l | -d directory] archive [pattern ...]

Writes the members of a zip archive that match a pattern to standard output, or all of them if there
is no pattern. A pattern is a shell pattern ("*" stops at a slash), or the name of a directory, which
means all below it. The pattern "-" reads patterns from standard input, one a line.

`

func main() { program.Main("zipcat", run) }

func run(ctx context.Context, args []string, std program.Std) error {
	flags := flag.NewFlagSet("zipcat", flag.ContinueOnError)
	list := flags.Bool("l", false, "list the members: size, time of modification, name")
	dir := flags.String("d", "", "extract below this `directory`, which is made if need be; files that exist are not replaced")
	limit := program.NewLimit(flags)
	lazy := flags.Bool("lazy", false, "copy the archive only when a process wants to write to it")
	if err := program.Parse(flags, usage, args, std); err != nil {
		return err
	}
	switch {
	case flags.NArg() == 0:
		return program.Usage("want an archive")
	case *list && *dir != "":
		return program.Usage("want -l or -d, not both")
	}
	if err := limit.Check(0); err != nil {
		return err
	}
	patterns, err := newPatterns(flags.Args()[1:], std.In)
	if err != nil {
		return err
	}

	update, end := std.Progress("copying the archive")
	m, err := snapshot.Config{Progress: update, Lazy: *lazy}.Open(ctx, flags.Arg(0))
	end()
	if err != nil {
		return err
	}
	defer m.Close()
	// From here on it does not matter what becomes of the file.
	archive, err := zip.NewReader(m, m.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // extract looks at the names itself
		return &fs.PathError{Op: "read", Path: m.Name(), Err: err}
	}
	members, err := patterns.choose(archive.File)
	if *list {
		return errors.Join(printList(std.Out, members), err)
	}
	members, errs := apart(members)
	err = errors.Join(append([]error{err}, errs...)...)
	if lerr := limit.Check(m.Size(), sizes(members)...); lerr != nil {
		return errors.Join(lerr, err)
	}
	if *dir != "" {
		return errors.Join(extract(ctx, std, *dir, members), err)
	}
	return errors.Join(cat(ctx, std.Out, members), err)
}

// sizes returns what the members claim to have. Package zip reads no more of one.
func sizes(members []*zip.File) (all []uint64) {
	for _, f := range members {
		all = append(all, f.UncompressedSize64)
	}
	return all
}

// printList prints a line for each member.
func printList(out io.Writer, members []*zip.File) error {
	for _, f := range members {
		_, err := fmt.Fprintf(out, "%12d  %s  %s\n", f.UncompressedSize64, f.Modified.Format(time.DateTime), program.Printable(f.Name))
		if err != nil {
			return err
		}
	}
	return nil
}

// cat writes the contents of the members, one after the other.
func cat(ctx context.Context, out io.Writer, members []*zip.File) error {
	var errs []error
	for _, f := range members {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if f.Mode().IsDir() {
			continue
		}
		dst := &sink{w: out}
		err := copyMember(ctx, dst, f, nil)
		if dst.err != nil {
			return err // nothing more can be written
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// copyMember writes the contents of a member, and checks them.
func copyMember(ctx context.Context, dst io.Writer, f *zip.File, copied func(n int)) error {
	src, err := f.Open()
	if err == nil {
		defer src.Close()
		err = program.Copy(ctx, dst, src, copied)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", program.Printable(f.Name), err)
	}
	return nil
}

// A sink remembers that writing failed, which is another matter than a damaged member.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}
