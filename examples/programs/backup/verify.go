package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program"
)

// verify reads all of a copy, compares it with the manifest, and prints what differs.
func verify(ctx context.Context, std program.Std, destination string, jobs int) error {
	var entries []*entry
	copied, err := os.OpenRoot(destination)
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
	root, err := copied.OpenRoot(treeName)
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
	err = walkTree(root, ".", func(name string, _ fs.FileInfo, err error) error {
		if err == nil && !listed[name] {
			differs(program.Name(name), "not in the manifest")
		}
		return err
	})
	if err == nil && differences > 0 {
		err = fmt.Errorf("%d differences from the manifest", differences)
	}
	if err != nil {
		return err
	}
	end()
	_, err = fmt.Fprintf(std.Out, "%d entries, %d bytes: as in the manifest\n", len(entries), done)
	return err
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
	var now entry
	now.describe(fi)
	switch {
	case now.Mode != e.Mode:
		return fmt.Sprintf("mode %s, not %s", now.Mode, e.Mode), nil
	case now.Size != e.Size:
		return fmt.Sprintf("%d bytes, not %d", now.Size, e.Size), nil
	case !now.ModTime.Equal(e.ModTime):
		return fmt.Sprintf("modified %v, not %v", now.ModTime, e.ModTime), nil
	case e.isSymlink():
		target, err := root.Readlink(string(e.Path))
		if err == nil && target != string(e.Target) {
			return fmt.Sprintf("leads to %s, not %s", target, e.Target), nil
		}
		return "", err
	case e.isDir():
		return "", nil
	}
	f, err := openFile(ctx, string(e.Path), root.OpenFile)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if err := program.Copy(ctx, h, f, progress); err != nil {
		return "", err
	}
	if hex.EncodeToString(h.Sum(nil)) != e.SHA256 {
		return "other contents", nil
	}
	return "", nil
}
