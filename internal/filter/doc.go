// Package filter is the language in which a person says which calls to show.
//
//	filter = [ either ] .
//	either = both { "OR" both } .
//	both   = one { one } .
//	one    = [ "-" ] ( "(" either ")" | term ) .
//	term   = key ":" value { "," value } | value .
//
// A value is text without spaces, parentheses and commas, or any text in double
// quotes, where a backslash keeps the character after it. A star outside quotes
// stands for any text. A value without a key is looked for within the path.
// Letters are compared without case if they are ASCII. The keys are method,
// service, route, upstream (or backend), endpoint, peer, trace, reason, md.NAME
// and body.
//
// Invariant: the String of a filter parses to a filter that matches the same
// calls.
//
// Pitfall: a term on metadata or bodies never matches without the functions of
// Extra, so its negation always does; see Needs.
package filter
