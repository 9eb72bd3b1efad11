// Package demo is something to look at: two small gRPC backends in this
// process, and traffic that calls them the way real applications would.
//
// [StartBackends] serves demo.shop.v1.Orders, which shows every kind of call
// and of answer, and demo.pay.v1.Ledger, which fails in spells so that a
// circuit breaker has something to do. [Traffic] calls both through one
// address, that of loomd: about five calls a second, of which some fail, some
// run into their deadline and some are given up on.
//
// With one seed the orders are the same each time, and the calls come in the
// same sequence; how long a call takes and how calls overlap is up to the
// machine. The backends listen on the loopback only. Close and Run return within
// a moment of being told to end, and leave no call behind.
package demo
