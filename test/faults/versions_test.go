//go:build linux

package faults

import (
	"strings"
	"testing"
)

// TestNeighbouringVersions goes from a build to the one before and back: each
// speaks its own and the neighbour's version of the protocol.
func TestNeighbouringVersions(t *testing.T) {
	l, c := begin(t, settings{env: []string{"LOOMFAULT_SPEAKS=1-2"}})
	for i, speaks := range []string{"0-1", "1-2", "0-1", "1-1"} {
		l.install("export LOOMFAULT_SPEAKS=" + speaks)
		if generation, _ := l.reload(); generation != i+2 {
			t.Errorf("generation %d serves, which speaks %s", generation, speaks)
		}
	}
	l.install("export LOOMFAULT_SPEAKS=2-3")
	l.fails("the two builds have no version of the hot restart in common; stop and start instead: the running process speaks 1 to 1, the new binary 2 to 3")
	l.install("export LOOMFAULT_SPEAKS=1-1")
	l.reload()
	c.end()
}

// TestForeignState hands over sections of later versions, one that nobody
// knows, and sections of garbage. All of it starts afresh, with a warning each.
func TestForeignState(t *testing.T) {
	for _, how := range []string{"later", "garbage"} {
		t.Run(how, func(t *testing.T) {
			l, c := begin(t, settings{binary: watched, env: []string{"LOOMFAULT_STATE=" + how}})
			l.install("unset LOOMFAULT_STATE")
			if generation, _ := l.reload(); generation != 2 {
				t.Errorf("generation %d serves", generation)
			}
			said := l.said()
			for _, section := range []string{"backend/main", "tickets", "of later"} {
				warned := 0
				for line := range strings.Lines(said) {
					if strings.Contains(line, `"level":"warn"`) && strings.Contains(line, section) {
						warned++
					}
				}
				if warned != 1 {
					t.Errorf("there are %d warnings of section %s", warned, section)
				}
			}
			l.reload()
			c.end()
		})
	}
}
