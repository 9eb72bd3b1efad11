// Package filter is the language in which a person says which calls to show:
//
//	status:UNAVAILABLE,INTERNAL latency:>50ms -route:canary
//
// Its grammar:
//
//	filter     = [ either ] .
//	either     = both { "OR" both } .
//	both       = one { one } .
//	one        = [ "-" ] ( "(" either ")" | term ) .
//	term       = key ":" value { "," value } | value { "," value } .
//	comparison = [ ">" | ">=" | "<" | "<=" | "=" ] number | number ".." number .
//
// A value is text without spaces, parentheses and commas, or any text in double
// quotes, where a backslash keeps the character after it. A star outside quotes
// stands for any text, none included. Letters are compared without case if they
// are ASCII. A term wants one of its values.
//
// A value without a key is looked for within the path. The keys:
//
//	method     the method, or the path        status   a name or number, none: ended without one, or open
//	service    with or without its package    kind     unary, client, server, bidi (U, CS, SS, BD)
//	route      its name                       latency  comparison: us ms s m h
//	upstream   or backend: its name           size     comparison, bytes both ways: k M G (1000), KiB MiB GiB
//	endpoint   its address                    msgs     comparison, messages both ways: k M
//	peer       address, or without the port   time     comparison: 14:02[:11[.5]], 2026-01-31[T14:02...]
//	trace      the trace's id                 by       or ender: backend, client, loom, breaker and more
//	reason     why loom ended it              is       error, ok, open, ended, stream, pinned and more
//	md.NAME    a value of the metadata        body     within the decoded messages
//
// Texts are compared as a whole, other than words in the path and those of body.
// A time is local, and as long as it is written: 14:02 is a minute. An error is
// a call with another status than OK, or that ended without one.
//
// The page of the inspector has a twin of this package, in
// internal/inspector/static/js/filter.js; testdata/corpus.json and a
// differential test hold the two together.
//
// Invariant: the String of a filter parses to a filter that matches the same
// calls and has the same String.
//
// Pitfall: a term on metadata or bodies never matches without the functions of
// Extra, so its negation always does; see Needs.
package filter
