// Package loomv1 is what loom tells of calls and of itself: the contract of
// the inspector, of loomctl, of session files and of saved captures. Anybody
// may import it.
package loomv1
