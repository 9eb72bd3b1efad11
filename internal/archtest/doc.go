// Package archtest holds the rules of the house as tests: who may import whom
// and why not, one package comment for each package, short files, and nothing
// left lying about. It has no code of its own; everything is in its tests.
//
// A test here reads source text and never builds it, so that it also judges
// files behind build tags and packages that do not compile at the moment.
package archtest
