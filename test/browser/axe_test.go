package browser

import (
	"fmt"
	"os"
	"strings"
)

// finding is what axe-core has against a part of the page.
type finding struct {
	ID     string   `json:"id"`
	Impact string   `json:"impact"`
	Help   string   `json:"help"`
	Nodes  []string `json:"nodes"` // where, and what exactly
}

// judge is the findings of axe-core that keep somebody from using the page. It
// waits for what still moves, whose colours are between two others.
const judge = `(async () => {
	await Promise.allSettled(document.getAnimations().filter(a => a.effect.getComputedTiming().endTime !== Infinity).map(a => a.finished));
	const result = await axe.run(document, {resultTypes: ['violations']});
	return result.violations.filter(v => v.impact === 'serious' || v.impact === 'critical').map(v => ({id: v.id, impact: v.impact, help: v.help,
		nodes: v.nodes.slice(0, 5).map(n => n.html.slice(0, 200) + ' ' + n.failureSummary)}));
})()`

// accessible fails the test for each serious finding on the page as it is.
func (p *tab) accessible(state string) {
	p.t.Helper()
	for _, f := range eval[[]finding](p, judge) {
		p.t.Errorf("%s: %s: %s: %s\n\t%s", state, f.Impact, f.ID, f.Help, strings.Join(f.Nodes, "\n\t"))
	}
}

// withAxe puts axe-core into the page.
func (p *tab) withAxe() {
	p.t.Helper()
	source, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		p.t.Fatalf("%v; test/deps.sh installs it", err)
	}
	p.run(fmt.Sprintf("(() => { %s })()", source))
}
