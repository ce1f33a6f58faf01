package promise

import (
	"fmt"
	"go/types"
	"maps"
	"slices"
)

// Symbols are names that promises can have. The value tells whether a symbol needs a promise.
type Symbols map[string]bool

// Add adds a package, by its name, and its exported symbols. Functions, types, methods and
// variables need a promise, and so do the fields of the types named by fieldsOf. Constants, other
// fields, methods of interfaces and the package itself may have one.
func (s Symbols) Add(pkg *types.Package, fieldsOf ...string) {
	s[pkg.Name()] = false
	for _, name := range pkg.Scope().Names() {
		obj := pkg.Scope().Lookup(name)
		if !obj.Exported() {
			continue
		}
		symbol := pkg.Name() + "." + name
		_, isConst := obj.(*types.Const)
		s[symbol] = !isConst
		if named, ok := obj.(*types.TypeName); ok {
			s.addMembers(named.Type(), symbol, slices.Contains(fieldsOf, symbol))
		}
	}
}

// addMembers adds methods, promoted ones included, and fields of a type.
func (s Symbols) addMembers(typ types.Type, symbol string, fields bool) {
	receiver, inInterface := types.Type(types.NewPointer(typ)), types.IsInterface(typ)
	if inInterface {
		receiver = typ
	}
	for method := range types.NewMethodSet(receiver).Methods() {
		if method.Obj().Exported() {
			s[symbol+"."+method.Obj().Name()] = !inInterface
		}
	}
	if structure, ok := typ.Underlying().(*types.Struct); ok {
		for field := range structure.Fields() {
			if field.Exported() {
				s[symbol+"."+field.Name()] = fields
			}
		}
	}
}

// Check returns what is wrong with the promises: symbols that need a promise and have none, and
// promises with a symbol that does not exist.
func (s Symbols) Check(promises []Promise) (problems []string) {
	made := map[string]bool{}
	for _, p := range promises {
		made[p.Symbol] = true
		if _, ok := s[p.Symbol]; !ok {
			problems = append(problems, fmt.Sprintf("%v: no symbol %s", p.Pos, p.Symbol))
		}
	}
	for _, symbol := range slices.Sorted(maps.Keys(s)) {
		if s[symbol] && !made[symbol] {
			problems = append(problems, symbol+" has no promise")
		}
	}
	return problems
}
