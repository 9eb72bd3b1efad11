package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Changes is what differs between two configurations. The zero value is no
// difference.
type Changes struct {
	// Listeners, Backends and Routes are told apart by name: one that is
	// renamed is removed and added.
	Listeners, Backends, Routes Items
	// RouteOrder is set if routes that are in both come in another order,
	// which may change what a call gets.
	RouteOrder *Order
	// Settings are the changes to everything else.
	Settings []FieldChange
}

// Items are the differences among listeners, backends or routes. Names are in
// the order of their configuration, new or, for what is removed, old.
type Items struct {
	Added, Removed []string
	Changed        []Item
}

// Item is a listener, backend or route that is in both and differs.
type Item struct {
	Name   string
	Fields []FieldChange
}

// FieldChange is one key and its value before and after, as loom.yaml spells
// them. A list that is written as a whole is compared as a whole.
type FieldChange struct {
	// Path is the key below the item, such as limits.pending.
	Path string
	// Old and New are empty where the key was or is not there. What may be
	// a secret says only that it differs.
	Old, New string
}

// Order is the names of the routes that are in both, before and after.
type Order struct{ Old, New []string }

// Empty reports whether nothing differs.
func (c Changes) Empty() bool {
	return c.Listeners.empty() && c.Backends.empty() && c.Routes.empty() && c.RouteOrder == nil && len(c.Settings) == 0
}

func (i Items) empty() bool { return len(i.Added)+len(i.Removed)+len(i.Changed) == 0 }

// Diff returns what was added, changed and removed from before to after. Both
// must be whole configurations, as Load returns them.
func Diff(before, after *Config) Changes {
	var c Changes
	s := shapes{}
	c.Listeners = diffItems(s, before.Listeners, after.Listeners, func(l *Listener) string { return l.Name })
	c.Backends = diffItems(s, before.Backends, after.Backends, func(b *Backend) string { return b.Name })
	c.Routes = diffItems(s, before.Routes, after.Routes, func(r *Route) string { return r.Name })
	c.RouteOrder = diffOrder(before.Routes, after.Routes)
	c.Settings = s.diff(settings(before), settings(after))
	return c
}

// settings returns a configuration without what Diff tells apart by name.
func settings(c *Config) reflect.Value {
	rest := *c
	rest.Listeners, rest.Backends, rest.Routes = nil, nil, nil
	return reflect.ValueOf(rest)
}

func diffItems[T any](s shapes, before, after []T, name func(*T) string) Items {
	var out Items
	old := make(map[string]*T, len(before))
	for i := range before {
		old[name(&before[i])] = &before[i]
	}
	kept := make(map[string]bool, len(after))
	for i := range after {
		n := name(&after[i])
		was, ok := old[n]
		if !ok {
			out.Added = append(out.Added, n)
			continue
		}
		kept[n] = true
		if fields := s.diff(reflect.ValueOf(*was), reflect.ValueOf(after[i])); fields != nil {
			out.Changed = append(out.Changed, Item{Name: n, Fields: fields})
		}
	}
	for i := range before {
		if n := name(&before[i]); !kept[n] {
			out.Removed = append(out.Removed, n)
		}
	}
	return out
}

func diffOrder(before, after []Route) *Order {
	old, fresh := routeNames(before), routeNames(after)
	inOld, inNew := nameSet(old), nameSet(fresh)
	o := Order{
		Old: slices.DeleteFunc(old, func(n string) bool { return !inNew[n] }),
		New: slices.DeleteFunc(fresh, func(n string) bool { return !inOld[n] }),
	}
	if slices.Equal(o.Old, o.New) {
		return nil
	}
	return &o
}

func routeNames(routes []Route) []string {
	names := make([]string, len(routes))
	for i := range routes {
		names[i] = routes[i].Name
	}
	return names
}

func nameSet(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

// diff compares two blocks of one type.
func (s shapes) diff(before, after reflect.Value) []FieldChange {
	old, fresh := s.flatten(before), s.flatten(after)
	was := make(map[string]leaf, len(old))
	for _, l := range old {
		was[l.path] = l
	}
	is := make(map[string]bool, len(fresh))
	var out []FieldChange
	for _, l := range fresh {
		is[l.path] = true
		if o := was[l.path]; o.text != l.text {
			out = append(out, change(o, l))
		}
	}
	for _, o := range old {
		if !is[o.path] && o.text != "" {
			out = append(out, change(o, leaf{path: o.path, secret: o.secret}))
		}
	}
	return out
}

// change shows two values, or, for secrets, only which of them there are.
func change(before, after leaf) FieldChange {
	c := FieldChange{Path: after.path, Old: before.text, New: after.text}
	if !after.secret {
		return c
	}
	if c.Old != "" {
		c.Old = "(hidden)"
	}
	if c.New != "" {
		c.New = "(hidden)"
	}
	return c
}

// maxListed bounds the names in the text of an order.
const maxListed = 8

// String returns a line for each difference, or a line that says that there is
// none. Lines begin with + for what was added, - for what was removed and ~ for
// what was changed.
func (c Changes) String() string {
	if c.Empty() {
		return "no change"
	}
	var lines []string
	lines = append(lines, c.Listeners.lines("listener")...)
	lines = append(lines, c.Backends.lines("backend")...)
	lines = append(lines, c.Routes.lines("route")...)
	if o := c.RouteOrder; o != nil {
		lines = append(lines, "~ routes: order: "+o.text())
	}
	for _, f := range c.Settings {
		lines = append(lines, "~ "+f.String())
	}
	return strings.Join(lines, "\n")
}

func (i Items) lines(kind string) []string {
	var lines []string
	for _, n := range i.Added {
		lines = append(lines, "+ "+kind+" "+n)
	}
	for _, n := range i.Removed {
		lines = append(lines, "- "+kind+" "+n)
	}
	for _, item := range i.Changed {
		for _, f := range item.Fields {
			lines = append(lines, "~ "+kind+" "+item.Name+": "+f.String())
		}
	}
	return lines
}

// String returns the key with its old and new value.
func (f FieldChange) String() string {
	show := func(s string) string {
		if s == "" {
			return "(none)"
		}
		return s
	}
	if f.Old == f.New {
		return f.Path + ": " + show(f.New) + " differs"
	}
	return fmt.Sprintf("%s: %s -> %s", f.Path, show(f.Old), show(f.New))
}

// text shows both orders from the first difference on.
func (o *Order) text() string {
	first := 0
	for first < len(o.Old) && o.Old[first] == o.New[first] {
		first++
	}
	list := func(names []string) string {
		names = names[first:]
		if len(names) > maxListed {
			return strings.Join(names[:maxListed], ", ") + ", ..."
		}
		return strings.Join(names, ", ")
	}
	return list(o.Old) + " -> " + list(o.New)
}
