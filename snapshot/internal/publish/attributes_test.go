package publish

import "testing"

// Files have the same access if owner, group, mode, ACLs and security labels agree; other
// attributes matter for equality alone.
func TestSameAccess(t *testing.T) {
	file := func(change func(a *Attributes)) *Attributes {
		a := &Attributes{
			UID: 1, GID: 2, Perm: 0o640,
			names:  []string{"security.selinux", "system.posix_acl_access", "user.u"},
			values: [][]byte{[]byte("label"), []byte("acl"), []byte("value")},
		}
		change(a)
		return a
	}
	same := file(func(*Attributes) {})
	for what, c := range map[string]struct {
		change        func(a *Attributes)
		equal, access bool
	}{
		"nothing":        {func(*Attributes) {}, true, true},
		"owner":          {func(a *Attributes) { a.UID++ }, false, false},
		"group":          {func(a *Attributes) { a.GID++ }, false, false},
		"mode":           {func(a *Attributes) { a.Perm |= 0o004 }, false, false},
		"label":          {func(a *Attributes) { a.values[0] = []byte("other") }, false, false},
		"ACL":            {func(a *Attributes) { a.values[1] = []byte("other") }, false, false},
		"no ACL":         {func(a *Attributes) { a.names[1] = "user.a" }, false, false},
		"user attribute": {func(a *Attributes) { a.values[2] = []byte("other") }, false, true},
		"fewer of a user": {func(a *Attributes) {
			a.names, a.values = a.names[:2], a.values[:2]
		}, false, true},
	} {
		a := file(c.change)
		if a.Equal(same) != c.equal || same.Equal(a) != c.equal {
			t.Errorf("%s: Equal is %v", what, a.Equal(same))
		}
		if a.SameAccess(same) != c.access || same.SameAccess(a) != c.access {
			t.Errorf("%s: SameAccess is %v", what, a.SameAccess(same))
		}
	}
}
