package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mmapsnapshot/mmapsnapshot/examples/internal/beside"
	"github.com/mmapsnapshot/mmapsnapshot/examples/programs/program/programtest"
	"github.com/mmapsnapshot/mmapsnapshot/syscalls/mounttest"
)

// An object comes back as it was sent, whatever its size, and leaves nothing behind.
func TestThereAndBack(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	for _, size := range []int{0, 1, part - 1, part, part + 1, 3*part + 7} {
		content := version(size, size)
		file := programtest.Put(t, dir, "file", content)
		call(t, file, name).Want(t, 0, itoa(size)+" bytes, full-object CRC-64/NVME", "")
		wantContent(t, s.content(t), content)
		call(t, "-verify", name).Want(t, 0, "verified by full-object", "")
		call(t, "-verify", name, file).Want(t, 0, "the same as "+file, "")
	}
	s.wantNoUploads(t)
	mounttest.WantNames(t, dir, "file")
}

// overwrite makes content the contents of a file in place, and cuts the file off in the middle.
func overwrite(t *testing.T, file, content string) {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	if _, err := f.WriteString(content); err != nil {
		t.Error(err)
	}
	if err := f.Truncate(int64(len(content)) / 2); err != nil {
		t.Error(err)
	}
}

// The object is the version that the file had, also if the file is overwritten and truncated as
// soon as the first request arrives.
func TestOneVersion(t *testing.T) {
	s := newStore(t)
	mounttest.Each(t, func(t *testing.T, dir string) {
		mounttest.Leaks(t)
		for _, size := range []int{200_000, 2*part + 1000} { // one request, and a multipart upload
			before, after := version(1, size), version(2, size+part/2)
			file := programtest.Put(t, dir, "file", before)
			var once sync.Once
			s.follow(func(string, int) fault {
				once.Do(func() { overwrite(t, file, after) })
				return passed
			})
			call(t, file, name).Want(t, 0, itoa(size)+" bytes", "")
			wantContent(t, s.content(t), before)
			if b, err := os.ReadFile(file); err != nil || string(b) != after[:len(after)/2] {
				t.Errorf("the file was not overwritten meanwhile: %d bytes, %v", len(b), err)
			}
		}
		s.wantNoUploads(t)
		mounttest.WantNames(t, dir, "file")
	})
}

// While the file is replaced, overwritten and truncated all the time and requests fail in all ways,
// an object is one of the versions, and what could not be removed from the store is reported.
func TestUploadUnderDestruction(t *testing.T) {
	s := newStore(t)
	dir, source := t.TempDir(), rand.New(rand.NewPCG(1, uint64(os.Getpid())))
	t.Logf("seed %d", os.Getpid())
	var versions []string
	for v := range 4 {
		versions = append(versions, version(v, 2*part+part/4*v+1))
	}
	file := programtest.Put(t, dir, "file", versions[0])
	sent, rounds := 0, 0
	faults := []fault{failed, reset, resetMiddle, answerLost, answerCut}
	change := func(i int) error {
		time.Sleep(10 * time.Millisecond) // leaves the processors to the others
		return programtest.Replace(file, versions[i%len(versions)])
	}
	beside.Do(t, mounttest.Count(3, 20, 1000), change, func(i int) {
		must(t, os.WriteFile(file+".whole", []byte(versions[i%len(versions)]), 0o644))
		must(t, os.Rename(file+".whole", file))
		var mu sync.Mutex // guards source
		var once sync.Once
		trouble := func(string, int) fault {
			once.Do(func() { overwrite(t, file, versions[(i+1)%len(versions)]) })
			mu.Lock()
			defer mu.Unlock()
			if source.IntN(6) > 0 {
				return passed
			}
			return faults[source.IntN(len(faults))]
		}
		s.follow(trouble)
		r := call(t, file, name)
		switch {
		case r.Status == 0:
			sent++
		case !strings.Contains(r.Err, fmt.Sprintf("send %s to %s: ", file, name)):
			t.Errorf("%+v", r)
		}
		if ids := s.uploads(t); len(ids) > 0 && !strings.Contains(r.Err, "may be left") {
			t.Errorf("unfinished uploads %q, and %q", ids, r.Err)
		}
		if r := call(t, "-abort", name); r.Status != 0 {
			t.Errorf("%+v", r)
		}
		s.wantNoUploads(t)
		if got := s.content(t); got != "" || sent > 0 {
			wantContent(t, got, versions...)
		}
		to := filepath.Join(t.TempDir(), "got")
		s.follow(trouble)
		r = call(t, "-get", name, to)
		if b, err := os.ReadFile(to); r.Status == 0 {
			must(t, err)
			wantContent(t, string(b), versions...)
		} else {
			mounttest.WantNames(t, filepath.Dir(to))
		}
		rounds++
	})
	if sent < rounds/2 {
		t.Errorf("%d of %d uploads succeeded", sent, rounds)
	}
	s.follow(nil)
	mounttest.WantNames(t, dir, "file")
}
