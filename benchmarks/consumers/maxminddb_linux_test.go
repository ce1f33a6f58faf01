package consumers

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/mmapsnapshot/mmapsnapshot/snapshot"
)

const networks = 200

// network returns network i of the database.
func network(i int) string { return fmt.Sprintf("2001:db8:%x::/48", i) }

func TestMaxMindDB(t *testing.T) {
	tree, err := mmdbwriter.New(mmdbwriter.Options{IncludeReservedNetworks: true})
	must(t, err)
	for i := range networks {
		_, n, err := net.ParseCIDR(network(i))
		must(t, err)
		must(t, tree.Insert(n, mmdbtype.String(network(i))))
	}
	content := written(t, func(w io.Writer) error { _, err := tree.WriteTo(w); return err })
	lookUp := func(t *testing.T, b []byte, damage func()) {
		t.Helper()
		db, err := maxminddb.OpenBytes(b)
		must(t, err)
		for i := range networks {
			if i == 1 {
				damage()
			}
			var got string
			must(t, db.Lookup(netip.MustParsePrefix(network(i)).Addr()).Decode(&got))
			must(t, wantEqual("a record", got, network(i)))
		}
		must(t, db.Close())
	}
	eachDamage(t, content, func(t *testing.T, name string, damage func()) {
		m, err := snapshot.Open(name)
		must(t, err)
		lookUp(t, m.Bytes(), damage)
		must(t, m.View(0, -1, func(b []byte) error { lookUp(t, b, func() {}); return nil }))
		must(t, m.Close())
	})
}
