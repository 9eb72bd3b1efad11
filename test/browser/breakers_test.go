package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// An operator opens a breaker by hand, sees that its calls are refused, and
// gives it back. Nothing happens before the question is answered.
func TestBreakersAreControlled(t *testing.T) {
	d := startDemo(t)
	p := open(t, d.url)
	p.live()
	p.table("breakers")
	p.await("each backend has its breaker", `['pay', 'shop'].every(b => document.querySelector('#table-breakers tr[data-name=' + b + '] .pill'))`)

	p.do(chromedp.Click("#breaker-open-shop"))
	p.await("the page asks first", `document.querySelector('#breaker-confirm').innerText.includes('Open the breaker of shop?')`)
	p.do(chromedp.Click("#breaker-confirm .dialog-foot button:first-child"))
	p.await("the question is gone", `!document.querySelector('#breaker-confirm')`)
	p.breaker("shop", "closed")
	if strings.Contains(d.Stderr(), "opened by the inspector") {
		t.Error("a breaker was opened although the answer was Cancel")
	}

	p.tellBreaker("shop", "open")
	p.breaker("shop", "forced-open")
	p.run(`location.hash = '#/calls'`)
	p.filter("by:breaker upstream:shop")
	p.await("its calls are refused", rows+".length > 0")
	p.table("breakers")
	p.await("and counted", `Number(document.querySelector('#table-breakers tr[data-name=shop] td:nth-child(8)').innerText) > 0`)
	p.tellBreaker("shop", "auto")
	p.breaker("shop", "closed")
	p.tellBreaker("pay", "close")
	p.breaker("pay", "disabled")
	p.tellBreaker("pay", "auto")
	p.tellBreaker("pay", "reset")
	p.breaker("pay", "closed")
}

// tellBreaker has a breaker do something, and says yes to the question.
func (p *tab) tellBreaker(backend, action string) {
	p.t.Helper()
	p.do(chromedp.Click(fmt.Sprintf("#breaker-%s-%s", action, backend)))
	p.await("the page asks first", `document.querySelector('#breaker-confirm').open`)
	p.do(chromedp.Click("#breaker-do"))
	p.await("the question is gone", `!document.querySelector('#breaker-confirm')`)
}

// breaker waits until the panel shows a state.
func (p *tab) breaker(backend, state string) {
	p.t.Helper()
	p.await("the breaker of "+backend+" is "+state, fmt.Sprintf(`document.querySelector('#table-breakers tr[data-name=%s] .pill').innerText === %q`, backend, state))
}
