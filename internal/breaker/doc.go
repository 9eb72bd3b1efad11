// Package breaker keeps calls away from a backend that fails, and lets a few
// through now and then to see whether it is back. It is built around the
// two-step breaker of github.com/sony/gobreaker/v2, which decides who passes;
// what that one cannot do stands here: time limits for probes, back-off, a
// window that counts slow calls, transitions without traffic, commands of an
// operator, and a record that a fresh process goes on with.
//
// Invariant: a verdict counts once, and only in the state in which its attempt
// was allowed. What comes later is counted as late and moves nothing. At most
// Settings.Probes attempts of a half-open spell are under way or have
// succeeded, and none of them holds its place for longer than
// Settings.ProbeTimeout.
//
// Pitfalls: an attempt that was allowed needs a Done, deferred if need be;
// without one a closed breaker learns nothing and a half-open one waits for the
// probe's time limit. An event is delivered after the fact, so the breaker may
// have moved on. Stop waits for the subscriber, who therefore must not call it.
package breaker
