package mounttest

import "slices"

// A Kind is a kind of filesystem: a row of the table.
type Kind struct {
	name     string
	has      Property
	variant  Property // Kinds returns this row only if asked for this property
	magic    uint32   // what statfs(2) says of it
	smallest int64    // about the smallest that mkfs makes, and tests can do something on
	mkfs     []string // makes mkfs write as little as it can and discard nothing
	small    []string // more arguments of mkfs, for less than smallAt bytes
	smallAt  int64
	options  string // suppress background writes of the kernel; see mount(8)
	slack    int64
}

// local is what all filesystems of the table have.
const local = Known | Leases | Private

var (
	mkfsQuietly = []string{"-q", "-K", "-f"}
	mkfsExt4    = []string{"-q", "-F", "-b", "4096", "-E",
		"nodiscard,lazy_itable_init=1,lazy_journal_init=1"}
)

// table is every kind that can be made, in the order Each runs them; constant.
var table = []*Kind{
	{
		name: "xfs", magic: 0x58465342, has: with(local | Disk | Reflinks | Shutdown),
		smallest: 300 << 20, mkfs: mkfsQuietly,
		// Inodes are allocated 64 at a time, 32 KiB, and never freed as long as one of them is
		// used; trees of free space and of reference counts have a few blocks more or less.
		slack: 128 << 10,
	},
	{
		name: "btrfs", magic: 0x9123683e,
		has:      with(local | Disk | Reflinks | NoCOW | Subvolumes | ListsTrusted),
		smallest: 24 << 20, mkfs: mkfsQuietly, small: []string{"--mixed"}, smallAt: 110 << 20,
		options: "commit=300",
		// Trees are copied on write, and are of 16 KiB nodes: how full they are after many
		// transactions differs.
		slack: 512 << 10,
	},
	{
		name: "ext4", magic: 0xef53, has: with(local | Disk | Shutdown | RenameWrites),
		smallest: 24 << 20, mkfs: mkfsExt4, options: "noinit_itable,commit=300",
	},
	{name: "tmpfs", magic: 0x01021994, has: with(local), smallest: 24 << 20},

	{
		name: "xfs", magic: 0x58465342, has: with(local | Disk | Shutdown | ReflinksOff),
		variant:  ReflinksOff,
		smallest: 300 << 20, mkfs: slices.Concat(mkfsQuietly, []string{"-m", "reflink=0"}),
	},
	xfsOfBlocks("16k"),
	xfsOfBlocks("64k"),
	{
		name: "ext4", magic: 0xef53, has: with(local | Disk | Shutdown | RenameWrites | WholeSeconds),
		variant:  WholeSeconds,
		smallest: 24 << 20, mkfs: slices.Concat(mkfsExt4, []string{"-I", "128"}),
		options: "noinit_itable,commit=300",
	},
}

func xfsOfBlocks(size string) *Kind {
	return &Kind{
		name: "xfs", magic: 0x58465342, has: with(local | Disk | Reflinks | Shutdown | LargeBlocks),
		variant:  LargeBlocks,
		smallest: 300 << 20, mkfs: slices.Concat(mkfsQuietly, []string{"-b", "size=" + size}),
	}
}

// Kinds returns the kinds of the table that have the properties, in the order of the table,
// whether they can be made here or not. Those with [WholeSeconds], [ReflinksOff] or [LargeBlocks]
// have to be asked for.
func Kinds(p Property) (kinds []*Kind) {
	for _, k := range table {
		if k.Has(p) && k.variant == k.variant&p {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// KindOf returns the kind of the filesystem that path lies on, or nil if it is none of the table.
// Only Linux can tell; there, ext2 and ext3 are "ext4", too.
func KindOf(path string) *Kind { return kindOf(path) }

// String is the name of its type: "xfs", "btrfs", "ext4" or "tmpfs", or "" for nil.
func (k *Kind) String() string {
	if k == nil {
		return ""
	}
	return k.name
}

// label is the name of the kind in reasons. It is a name of MOUNTTEST_REQUIRE as well, except with
// LargeBlocks: older kernels have the filesystem, but do not mount it with large blocks.
func (k *Kind) label() string {
	if k.Has(LargeBlocks) {
		return k.name + " of large blocks"
	}
	return k.name
}

// Has reports whether this kind has the properties.
func (k *Kind) Has(p Property) bool { return k.has&p == p }

// Magic is what statfs(2) says of the type.
func (k *Kind) Magic() uint32 { return k.magic }

// Smallest is the size in bytes that [Kind.Fresh] makes if it is to be small.
func (k *Kind) Smallest() int64 { return k.smallest }

// Options returns the options for mount(2) that suppress writes of the kernel in the background.
func (k *Kind) Options() string { return k.options }

// Slack is how many bytes more of it can be in use when files were made and removed again.
func (k *Kind) Slack() int64 { return k.slack }
