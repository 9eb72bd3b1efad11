// Package row names the loads of the bench.
package row

import (
	"fmt"
	"strings"
)

// Kind says how a load works.
type Kind int

// The kinds of load.
const (
	Unary  Kind = iota // h2load, one message each way
	Bidi               // ping-pong on open streams; a request is one round trip
	Idle               // open connections and streams on which nothing happens
	Steady             // loomd alone: many calls, then many connections; what is left behind
	Mixed              // loomd alone: calls of all sorts with trouble; is every reply right
)

// Row is one load.
type Row struct {
	Name    string // as in the -rows flag
	Title   string // as in the table
	Kind    Kind
	Conns   int
	Streams int // at once on each connection
	Body    int // bytes of payload in each message
}

// All lists the loads in the order of the table.
func All() []Row {
	return []Row{
		{"1x100", "unary 100 B, 1 x 100", Unary, 1, 100, 100},
		{"20x50", "unary 100 B, 20 x 50", Unary, 20, 50, 100},
		{"20x1", "unary 100 B, 20 x 1", Unary, 20, 1, 100},
		{"64k", "unary 64 KiB, 4 x 10", Unary, 4, 10, 64 << 10},
		{"1m", "unary 1 MiB, 2 x 4", Unary, 2, 4, 1 << 20},
		{"bidi", "bidi ping-pong 100 B, 4 x 5", Bidi, 4, 5, 100},
		{"idle", "1,000 idle connections, 10 idle streams each", Idle, 1000, 10, 100},
		{"steady", "unary 100 B, 20 x 50, then one connection after the other", Steady, 20, 50, 100},
		{"mixed", "calls of all sorts, slow readers, cancels, cut connections", Mixed, 6, 8, 0},
	}
}

// Pick returns the rows named in a comma-separated list, all for an empty one,
// in the order of All.
func Pick(list string) ([]Row, error) {
	all := All()
	if list == "" {
		return all, nil
	}
	wanted := make(map[string]bool)
	for name := range strings.SplitSeq(list, ",") {
		wanted[name] = true
	}
	var picked []Row
	var names []string
	for _, r := range all {
		names = append(names, r.Name)
		if wanted[r.Name] {
			picked = append(picked, r)
			delete(wanted, r.Name)
		}
	}
	for name := range wanted {
		return nil, fmt.Errorf("there is no row %q; rows are %s", name, strings.Join(names, ", "))
	}
	return picked, nil
}
