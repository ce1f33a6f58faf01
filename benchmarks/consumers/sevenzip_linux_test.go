package consumers

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bodgit/sevenzip"
)

// The archives are those that the module tests itself with. Each has several members, which the
// module checks against their sums.
func TestSevenZip(t *testing.T) {
	const module = "github.com/bodgit/sevenzip"
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	must(t, err)
	for _, name := range []string{"copy.7z", "lzma2.7z"} {
		t.Run(name, func(t *testing.T) {
			archive, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "testdata", name))
			must(t, err)
			z, err := sevenzip.NewReader(bytes.NewReader(archive), int64(len(archive)))
			must(t, err)
			want := map[string]string{}
			for _, f := range z.File {
				want[f.Name], err = readMember(f)
				must(t, err)
			}
			survives(t, archive, func(_ *testing.T, f file, damage func()) error {
				z, err := sevenzip.NewReader(f, f.Size())
				if err != nil {
					return err
				}
				damage()
				for _, f := range z.File {
					got, err := readMember(f)
					if err != nil {
						return err
					}
					if err := wantEqual(f.Name, got, want[f.Name]); err != nil {
						return err
					}
				}
				return wantEqual("the number of members", len(z.File), len(want))
			})
		})
	}
}

func readMember(f *sevenzip.File) (string, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	return string(content), err
}
