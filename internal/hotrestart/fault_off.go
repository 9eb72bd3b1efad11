//go:build !loomfault || !linux

package hotrestart

// fault is a point of the protocol. It does nothing here; see fault_on.go.
func fault(string) {}

// pretended is the state that crosses; here it is what it is.
func pretended(sections []Section) []Section { return sections }

// spoken returns the versions that this build speaks.
func spoken() versions { return versions{oldest, newest} }
