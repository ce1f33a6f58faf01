package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

// verify reads all of a copy, compares it with the manifest, and prints what differs.
func verify(ctx context.Context, std program.Std, destination string, jobs int) error {
	var entries []*entry
	copied, err := openRoot(destination)
	if err == nil {
		defer copied.Close()
		entries, err = readManifest(ctx, copied)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("not a complete copy: %w", err)
	}
	if err != nil {
		return err
	}
	root, err := openBelow(copied, treeName)
	if err != nil {
		return err
	}
	defer root.Close()

	var mu sync.Mutex
	differences, done, total := 0, int64(0), int64(0)
	differs := func(name program.Name, what string) {
		mu.Lock()
		defer mu.Unlock()
		differences++
		fmt.Fprintf(std.Out, "%s: %s\n", program.Printable(string(name)), program.Printable(what))
	}
	listed := map[string]bool{}
	for _, e := range entries {
		listed[string(e.Path)] = true
		total += e.Size
	}
	update, end := std.Progress("verifying")
	defer end()
	err = parallel(ctx, entries, jobs, func(ctx context.Context, e *entry) error {
		what, err := e.compare(ctx, root, func(n int) {
			mu.Lock()
			defer mu.Unlock()
			done += int64(n)
			update(done, total)
		})
		if what == "" && err != nil {
			what = err.Error()
		}
		if what != "" && ctx.Err() == nil {
			differs(e.Path, what)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if err := extra(copied, root, listed, differs); err != nil {
		return err
	}
	if differences > 0 {
		return fmt.Errorf("%s from the manifest", program.Count(differences, "difference", "differences"))
	}
	end()
	_, err = fmt.Fprintf(std.Out, "%s, %s: as in the manifest\n",
		program.Count(len(entries), "entry", "entries"), program.Count(done, "byte", "bytes"))
	return err
}

// extra calls differs with each file in the copy that is not listed, and each beside the tree.
func extra(copied, root *os.Root, listed map[string]bool, differs func(name program.Name, what string)) error {
	names, err := namesIn(copied, ".")
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if name != treeName && name != manifestName {
			differs(program.Name(name), "beside the tree, not in the manifest")
		}
	}
	return walkTree(root, func(_ *os.Root, name string, _ fs.FileInfo, err error) error {
		if err != nil {
			differs(program.Name(name), err.Error())
		} else if !listed[name] {
			differs(program.Name(name), "not in the manifest")
		}
		return nil
	})
}

// compare returns what is not as the entry says.
func (e *entry) compare(ctx context.Context, root *os.Root, progress func(n int)) (string, error) {
	fi, err := root.Lstat(string(e.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return "missing", nil
	}
	if err != nil {
		return "", err
	}
	if what := e.compareInfo(fi); what != "" {
		return what, nil
	}
	if e.isSymlink() {
		target, err := root.Readlink(string(e.Path))
		if err == nil && target != string(e.Target) {
			return fmt.Sprintf("leads to %s, not %s", target, e.Target), nil
		}
		return "", err
	}
	f, err := openSame(ctx, root, string(e.Path), fi)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if e.Xattrs != unreadable {
		xattrs, err := hashXattrs(f)
		if err != nil {
			return "", err
		}
		if xattrs != e.Xattrs {
			return "other extended attributes, ACL or capabilities", nil
		}
	}
	if e.isDir() {
		return "", nil
	}
	h, now := newContentHash(e.Blocks != nil), new(entry)
	if err := program.Copy(ctx, h, f, progress); err != nil {
		return "", err
	}
	if h.store(now); !now.sameContents(e) {
		return "other contents", nil
	}
	return "", nil
}

// compareInfo compares what a FileInfo tells.
func (e *entry) compareInfo(fi fs.FileInfo) string {
	var now entry
	now.describe(fi)
	uid, gid, ok := owner(fi)
	switch {
	case now.Mode != e.Mode:
		return fmt.Sprintf("mode %s, not %s", now.Mode, e.Mode)
	case ok && (uid != e.UID || gid != e.GID):
		return fmt.Sprintf("owner %d:%d, not %d:%d", uid, gid, e.UID, e.GID)
	case now.Size != e.Size:
		return fmt.Sprintf("%s, not %d", program.Count(now.Size, "byte", "bytes"), e.Size)
	case !now.ModTime.Equal(e.ModTime):
		return fmt.Sprintf("modified %v, not %v", now.ModTime, e.ModTime)
	case !fi.IsDir() && links(fi) != 1: // backup makes none
		return fmt.Sprintf("%d hard links, not 1", links(fi))
	}
	return ""
}
