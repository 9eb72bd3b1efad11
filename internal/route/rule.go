// Package route finds the route of a call: which rule of the configuration
// the call falls under, and which backend of that rule takes it.
//
// A [Table] is compiled once from plain [Rule]s and never changes afterwards,
// so any number of goroutines use it without a lock. The first rule that
// matches wins, in the order of the configuration; the table only makes sure
// that few rules have to be looked at. Every rule is filed under all that it
// names exactly (service, method, authority without a wildcard), so a rule
// costs a call something only if the call agrees with the rule on all of
// these. What is left to be tried one after the other are rules that share
// such an entry: path_regex, globs of authorities and identities, and metadata.
//
// Pitfalls: regular expressions search, as Go's do, so anchor them with ^ and
// $ where the whole text is meant. An authority without a port in a rule
// stands for every port; one with a port does not match a call that names no
// port, since nothing here knows a default one. Metadata whose name ends in
// -bin is compared as it is on the wire, in base64.
package route

import "time"

// Rule is one route as the configuration gives it. It is plain data; [Compile]
// checks it and keeps a copy.
type Rule struct {
	// Name is what people see of the rule; it has no other meaning.
	Name string
	// Match says which calls the rule is for; the zero value is for all.
	Match Match
	// Backends share the calls of the rule by weight. Empty if and only if
	// Deny is set.
	Backends []Weighted
	// Deny is the gRPC status code, 1 to 16, that refuses the calls of the
	// rule; 0 means that the rule forwards.
	Deny uint32
	// Request and Response change the metadata on its way up and down.
	Request, Response Edit
	// Timeout bounds the time of the calls.
	Timeout Timeout
	// Retry has failed calls tried again; nil: they are not.
	Retry *Retry
	// Mirror has some calls copied to another backend; nil: none are.
	Mirror *Mirror
	// ForwardedFor adds the address of the caller to x-forwarded-for.
	ForwardedFor bool
}

// Timeout bounds the time of a rule's calls. Zero fields set no bound.
type Timeout struct {
	// Overall is for a call with all its attempts.
	Overall time.Duration
	// PerTry is for an attempt, until its answer begins.
	PerTry time.Duration
	// Idle is how long a call may last without a byte either way.
	Idle time.Duration
}

// Retry says when a failed call is tried again.
type Retry struct {
	// Attempts is how many there may be, the first one included: 2 to 100.
	Attempts int
	// On are the gRPC status codes that are worth another attempt.
	On []uint32
	// Initial is how long to wait before the second attempt. It doubles from
	// then on, up to Max. Both are above 0.
	Initial, Max time.Duration
	// BudgetPercent bounds the retries, in percent of the calls of the rule.
	BudgetPercent int
}

// Match is what a call must be for a rule to apply. All that is given must
// hold; what is left empty always holds.
type Match struct {
	// Service and Method are compared exactly with the two parts of the
	// path: everything between its first and its last slash, and everything
	// after the last.
	Service, Method string
	// Authority is a host name or address with an optional port, in which
	// each * stands for any run of characters, dots included and none
	// allowed. Case does not matter, neither does a final dot of the host.
	Authority string
	// Identity is who calls, in which each * stands for any run of characters.
	// Case matters. A call without an identity does not match.
	Identity string
	// PathRegex is searched for in the whole path, the leading slash
	// included.
	PathRegex string
	// Metadata must all match. A name that comes repeatedly in a call
	// matches if any of its values does.
	Metadata []MetadataMatch
}

// MetadataMatch is a condition on the metadata of one name. Exactly one of
// Value, Regex and Present is set.
type MetadataMatch struct {
	// Name is the metadata name, in any case.
	Name string
	// Value is the exact value, which may be empty.
	Value *string
	// Regex is searched for in the value.
	Regex string
	// Present holds for any value, as long as there is one.
	Present bool
}

// Weighted is a backend and its share of the calls of a rule.
type Weighted struct {
	// Name is the backend's name in the configuration.
	Name string
	// Weight is 0 to 2147483647, relative to the sum of the rule. A backend
	// of weight 0 gets no calls.
	Weight int
}

// Mirror says where copies of calls go.
type Mirror struct {
	Backend string
	// Percent is how many of the calls are copied, 0 to 100.
	Percent float64
}

// Edit changes metadata: first all of Remove, then all of Set, then all of
// Append. Names are in lower case once compiled.
type Edit struct {
	// Set gives each name the value, in place of all that it had.
	Set []Field
	// Append gives each name a further value.
	Append []Field
	// Remove takes away all values of each name.
	Remove []string
}

// Field is one name and its value as on the wire.
type Field struct {
	Name, Value string
}
