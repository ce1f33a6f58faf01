// Command tarindex gives random access to the members of a large tar archive, which otherwise
// has to be read from the beginning for each of them.
//
//	tarindex -l archive.tar                       lists the members
//	tarindex archive.tar etc/passwd               writes the contents of a member
//	tarindex -i index archive.tar                 makes an index
//	tarindex -i index archive.tar etc/passwd      uses it
//
// The archive is read through a snapshot: an index, and what is read by it, are of one version
// of the archive, whatever happens to the file meanwhile. An index belongs to that version;
// when the file has become another one, that is noticed, and the index made again.
//
// An index decides which contents are shown under a name. It is used only if it belongs to the
// caller or to root, and neither it nor its directory may be written to by anybody else; so not in
// /tmp. A sparse member can claim any size: nothing is written if the members exceed -limit. Names
// are quoted if a terminal might take them as commands; contents are written as they are.
//
// The exit status is 0, or 1 if something failed, or 2 for wrong usage.
//
// Each file is one idea: main.go opens the archive, scan.go finds where the members are,
// member.go reads one, file.go keeps the index in a file, trust.go sees that it is nobody else's.
package main

import (
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

const usage = `usage: tarindex [-lazy] [-i index] [-l] archive.tar [member ...]

Writes the contents of members of a tar archive to standard output, each read where it is. With -i,
where they are is remembered in a file, which is made if it is not there, and made again if the
archive has become another.

`

func main() { program.Main("tarindex", run) }

func run(ctx context.Context, args []string, std program.Std) error {
	flags := flag.NewFlagSet("tarindex", flag.ContinueOnError)
	file := flags.String("i", "", "keep the index in this `file`, in a directory that no other user may write to")
	list := flags.Bool("l", false, "list the members: offset of the header, size, time of modification, name")
	limit := program.NewLimit(flags)
	lazy := flags.Bool("lazy", false, "copy the archive only when a process wants to write to it")
	if err := program.Parse(flags, usage, args, std); err != nil {
		return err
	}
	members := flags.Args()
	switch {
	case len(members) == 0:
		return program.Usage("want an archive")
	case *list && len(members) > 1:
		return program.Usage("-l lists all members: %q is one too many", members[1])
	case len(members) == 1 && !*list && *file == "":
		return program.Usage("nothing to do: want -l, -i or a member")
	}
	if err := limit.Check(0); err != nil {
		return err
	}

	update, end := std.Progress("copying the archive")
	m, err := snapshot.Config{Progress: update, Lazy: *lazy}.Open(ctx, flags.Arg(0))
	end()
	if err != nil {
		return err
	}
	defer m.Close()
	ix, err := findIndex(ctx, std, m, *file)
	if err != nil {
		return err
	}
	if *list {
		return printList(std.Out, ix)
	}
	if err := limit.Check(m.Size(), ix.sizes(members[1:])...); err != nil {
		return err
	}
	var errs []error
	for _, name := range members[1:] {
		err := cat(ctx, std.Out, m, ix, name)
		if ctx.Err() != nil {
			return ctx.Err() // err may be nil, and there are more members
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// findIndex returns the index of the archive: from the file, if there is one that fits, else
// made anew, and kept in the file.
func findIndex(ctx context.Context, std program.Std, m *snapshot.Mmap, file string) (*index, error) {
	var at *place
	if file != "" {
		var err error
		if at, err = findPlace(file); err != nil {
			return nil, err
		}
		defer at.close()
		ix, err := load(ctx, m, at)
		if err == nil || ctx.Err() != nil {
			return ix, err
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errUnfit) {
			return nil, err
		}
		if errors.Is(err, errUnfit) {
			fmt.Fprintf(std.Err, "tarindex: %s: %v, and is made again\n", program.Printable(file), err)
		}
	}
	update, end := std.Progress("looking for members")
	ix, err := scan(ctx, m, update)
	end()
	if err != nil || file == "" {
		return ix, err
	}
	return ix, save(ctx, ix, at)
}

// printList prints a line for each member.
func printList(out io.Writer, ix *index) error {
	for _, e := range ix.members {
		_, err := fmt.Fprintf(out, "%14d %12d  %s  %s\n", e.Offset, e.Size, e.ModTime.Format(time.DateTime), program.Printable(string(e.Name)))
		if err != nil {
			return err
		}
	}
	return nil
}
