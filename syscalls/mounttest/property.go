package mounttest

import (
	"slices"
	"strings"
)

// A Property is something that filesystems have or lack, and on which tests depend. Properties
// are joined by |: a filesystem has Disk|NoReflinks if it lies on a disk and has no reflinks.
// No property at all, 0, is had by each filesystem.
type Property uint32

// The properties of filesystems. For a filesystem of the machine that is not in the table, only
// Known, Host, Private, Reflinks and Leases are known: it has none of the others and none of their
// opposites.
const (
	// Known filesystems are those of the table: it is known what they answer.
	Known Property = 1 << iota
	// Host is the filesystem on which the machine keeps temporary files, whatever it is.
	Host
	// Private: it is this package's, and no other program uses it, so that the space in use can be
	// compared.
	Private
	// Reflinks: FICLONE makes two files share their blocks.
	Reflinks
	// Leases: no process writes to a file, or has it open for writing, while another one has a
	// read lease on it. Package snapshot relies on that for the filesystems of the table alone.
	Leases
	// Disk: files are stored on a block device, so their pages can be evicted, and they survive a
	// crash.
	Disk
	// NoCOW: files can be told to be overwritten in place (FS_NOCOW_FL).
	NoCOW
	// Subvolumes: btrfs(8) makes trees with a quota of their own.
	Subvolumes
	// Shutdown: an ioctl makes the filesystem fail as if its disk was gone.
	Shutdown
	// RenameWrites: a rename over a file becomes durable only after the new contents, also without
	// fsync (ext4 with auto_da_alloc, its default).
	RenameWrites
	// ListsTrusted: the names of trusted attributes are shown to those who may not read them.
	ListsTrusted
	// WholeSeconds: the times of files are whole seconds. Only [Fresh] makes one.
	WholeSeconds
	// ReflinksOff: it was made without the reflinks that others of its type have. Only
	// [Fresh] makes one.
	ReflinksOff
	// LargeBlocks: a block is larger than 4 KiB, the page of most machines. Only [Fresh] makes one,
	// on Linux 6.12 or later.
	LargeBlocks

	afterLast
)

// complement is how far the bit that says that a property is lacking is from that of the property.
const complement = 16

// The opposites of properties.
const (
	// NoReflinks: FICLONE is refused.
	NoReflinks = Reflinks << complement
	// Memory: files lie in memory alone.
	Memory = Disk << complement
)

// not is what a filesystem has that has none of these.
func not(p Property) Property { return p << complement }

// with returns the properties of a filesystem that has those and no other.
func with(p Property) Property { return p | not((afterLast-1)&^p) }

// String lists the properties, for messages.
func (p Property) String() string {
	var list []string
	for i, name := range []string{"Known", "Host", "Private", "Reflinks", "Leases", "Disk", "NoCOW", "Subvolumes",
		"Shutdown", "RenameWrites", "ListsTrusted", "WholeSeconds", "ReflinksOff", "LargeBlocks"} {
		one := Property(1) << i
		if p&one != 0 {
			list = append(list, name)
		}
		if p&not(one) != 0 {
			list = append(list, "no "+name)
		}
	}
	return strings.Join(list, ", ")
}

// Has reports whether the filesystem that path lies on is known to have the properties. Its type
// decides, but for the machine's own filesystem, where a reflink is tried, and for those that this
// process made by [Fresh].
func Has(path string, p Property) bool { return propertiesOf(path)&p == p }

// kindOf returns the kind of the filesystem that path lies on, or nil if it is none of the table.
func kindOf(path string) *Kind {
	magic, ok := magicOf(path)
	i := slices.IndexFunc(table, func(k *Kind) bool { return ok && k.magic == magic })
	if i < 0 {
		return nil
	}
	return table[i]
}

func propertiesOf(path string) Property {
	k := kindOf(path)
	if own := madeAt(path); own != nil {
		k = own
	}
	if !onHost(path) {
		if k == nil {
			return not(Known | Host | Private)
		}
		return k.has
	}
	p := Host | not(Known|Leases|Private)
	if k != nil {
		p = k.has&^(not(Host)|Private) | Host | not(Private)
	}
	// Its type does not tell whether it was made with reflinks.
	p &^= Reflinks | not(Reflinks)
	if clones() {
		return p | Reflinks
	}
	return p | not(Reflinks)
}
