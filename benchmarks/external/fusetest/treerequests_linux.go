package fusetest

import "github.com/hanwen/go-fuse/v2/fuse"

// What a tree is asked and passes on as it is. Left out is what has no answer, FORGET and RELEASE, and
// what nobody waits for.

func (t *tree) Lookup(c <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	return t.do("LOOKUP", func() fuse.Status { return t.RawFileSystem.Lookup(c, in, name, out) })
}

func (t *tree) GetAttr(c <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return t.do("GETATTR", func() fuse.Status { return t.gone(t.RawFileSystem.GetAttr(c, in, out)) })
}

func (t *tree) SetAttr(c <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	return t.do("SETATTR", func() fuse.Status { return t.RawFileSystem.SetAttr(c, in, out) })
}

func (t *tree) Statx(c <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	return t.do("STATX", func() fuse.Status { return t.RawFileSystem.Statx(c, in, out) })
}

func (t *tree) Unlink(c <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return t.do("UNLINK", func() fuse.Status { return t.RawFileSystem.Unlink(c, in, name) })
}

func (t *tree) Link(c <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	return t.do("LINK", func() fuse.Status { return t.RawFileSystem.Link(c, in, name, out) })
}

func (t *tree) Create(c <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	return t.do("CREATE", func() fuse.Status { return t.RawFileSystem.Create(c, in, name, out) })
}

func (t *tree) Tmpfile(c <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	return t.do("TMPFILE", func() fuse.Status { return t.RawFileSystem.Tmpfile(c, in, out) })
}

func (t *tree) Open(c <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return t.do("OPEN", func() fuse.Status { return t.gone(t.RawFileSystem.Open(c, in, out)) })
}

func (t *tree) OpenDir(c <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return t.do("OPENDIR", func() fuse.Status { return t.RawFileSystem.OpenDir(c, in, out) })
}

func (t *tree) Lseek(c <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	return t.do("LSEEK", func() fuse.Status { return t.RawFileSystem.Lseek(c, in, out) })
}

func (t *tree) Write(c <-chan struct{}, in *fuse.WriteIn, data []byte) (n uint32, status fuse.Status) {
	status = t.do("WRITE", func() fuse.Status {
		n, status = t.RawFileSystem.Write(c, in, data)
		return status
	})
	return n, status
}

func (t *tree) Writev(<-chan struct{}, *fuse.WriteIn, [][]byte) (uint32, fuse.Status) {
	return 0, fuse.ENOSYS // and so Write is called
}

func (t *tree) CopyFileRange(c <-chan struct{}, in *fuse.CopyFileRangeIn) (n uint32, status fuse.Status) {
	status = t.do("COPY_FILE_RANGE", func() fuse.Status {
		n, status = t.RawFileSystem.CopyFileRange(c, in)
		return status
	})
	return n, status
}

func (t *tree) Fsync(c <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return t.do("FSYNC", func() fuse.Status { return t.RawFileSystem.Fsync(c, in) })
}

func (t *tree) FsyncDir(c <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return t.do("FSYNCDIR", func() fuse.Status { return t.RawFileSystem.FsyncDir(c, in) })
}

func (t *tree) Flush(c <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	return t.do("FLUSH", func() fuse.Status { return t.RawFileSystem.Flush(c, in) })
}

func (t *tree) ListXAttr(c <-chan struct{}, in *fuse.InHeader, buf []byte) (n uint32, status fuse.Status) {
	status = t.do("LISTXATTR", func() fuse.Status {
		n, status = t.RawFileSystem.ListXAttr(c, in, buf)
		return status
	})
	return n, status
}

func (t *tree) GetXAttr(c <-chan struct{}, in *fuse.InHeader, name string, buf []byte) (n uint32, status fuse.Status) {
	status = t.do("GETXATTR", func() fuse.Status {
		n, status = t.RawFileSystem.GetXAttr(c, in, name, buf)
		return status
	})
	return n, status
}

func (t *tree) SetXAttr(c <-chan struct{}, in *fuse.SetXAttrIn, name string, data []byte) fuse.Status {
	return t.do("SETXATTR", func() fuse.Status { return t.RawFileSystem.SetXAttr(c, in, name, data) })
}

func (t *tree) RemoveXAttr(c <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return t.do("REMOVEXATTR", func() fuse.Status { return t.RawFileSystem.RemoveXAttr(c, in, name) })
}
