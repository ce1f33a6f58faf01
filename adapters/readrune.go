package adapters

import (
	"io/fs"
	"unicode/utf8"
)

// lastRune remembers where the last rune was that ReadRune read. That it need not be told when
// the cursor moves keeps the other methods fast.
type lastRune struct{ start, end int64 }

// before returns where the rune starts that ends at off, if it is the last one, or -1.
func (l lastRune) before(off int64) int64 {
	if l.end == l.start || l.end != off {
		return -1
	}
	return l.start
}

// next decodes the first rune of p, which begins at off.
func (l *lastRune) next(p []byte, off int64) (r rune, size int) {
	r, size = utf8.DecodeRune(p)
	l.start, l.end = off, off+int64(size)
	return r, size
}

// ReadRune returns the next character and its length in bytes, or io.EOF. A byte that is no
// valid UTF-8 is utf8.RuneError of length 1.
func (r *Reader) ReadRune() (ch rune, size int, err error) {
	if !r.isValid() {
		return 0, 0, fs.ErrInvalid
	}
	p := r.ahead.from(r.off)
	if !utf8.FullRune(p) {
		if p, err = r.ahead.read(r.src, r.off, utf8.UTFMax, r.fixed); err != nil {
			return 0, 0, err
		}
	}
	ch, size = r.last.next(p, r.off)
	r.off += int64(size)
	return ch, size, nil
}

// UnreadRune moves the cursor back to before the rune that ReadRune returned last. If the cursor is
// not directly behind that rune, UnreadRune is an error. Otherwise it works whatever was called
// since, as a Seek to where the cursor was, or a ReadRune at the end: a bytes.Reader returns an
// error then. If the bytes were changed since, the next ReadRune returns the new rune.
func (r *Reader) UnreadRune() error {
	if !r.isValid() {
		return fs.ErrInvalid
	}
	off, err := unread("unreadrune", r.src, r.off, r.last.before(r.off), errNotBehindRune)
	r.off = off
	return err
}

// ReadRune is [Reader.ReadRune]. Like [File.ReadByte], it never returns what has been
// overwritten through the File.
func (f *File) ReadRune() (ch rune, size int, err error) {
	if !f.isValid() {
		return 0, 0, fs.ErrInvalid
	}
	if f.writeOnly {
		return 0, 0, f.cannotRead()
	}
	f.cursor.Lock()
	defer f.cursor.Unlock()
	now := f.changes.state.Load()
	p := f.ahead.from(f.off)
	if now != f.seen || !utf8.FullRune(p) {
		if p, err = f.readAhead(now, utf8.UTFMax); err != nil {
			return 0, 0, err
		}
	}
	ch, size = f.last.next(p, f.off)
	f.off += int64(size)
	return ch, size, nil
}

// UnreadRune is [Reader.UnreadRune].
func (f *File) UnreadRune() error {
	if !f.isValid() {
		return fs.ErrInvalid
	}
	f.cursor.Lock()
	defer f.cursor.Unlock()
	off, err := unread("unreadrune", f.m, f.off, f.last.before(f.off), errNotBehindRune)
	f.off = off
	return err
}
