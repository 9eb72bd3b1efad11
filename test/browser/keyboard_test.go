package browser

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// focus is whether the focus is on, or within, an element.
func focus(selector string) string {
	return fmt.Sprintf("document.activeElement.closest(%q) !== null", selector)
}

// press presses a key as a keyboard does: the page may keep its text from
// being typed, which it may not with key.
func (p *tab) press(key string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for _, event := range []input.DispatchKeyEventParams{{Type: input.DispatchKeyEventTypeKeyDown, Key: key, Text: key}, {Type: input.DispatchKeyEventTypeKeyUp, Key: key}} {
		if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, event); err != nil {
			p.t.Fatalf("press %s: %v", key, err)
		}
	}
}

// Finding a call, reading all of it, sending it again, and help, without a
// mouse.
func TestKeyboardAlone(t *testing.T) {
	p := open(t, startDemo(t).url)
	p.live()
	p.press("/")
	p.await("the filter has the focus", focus("#filter"))
	p.key("method:GetOrder status:OK")
	p.key(kb.Enter)
	p.await("the calls are found", rows+`.length > 1 && `+rows+`.every(r => r.innerText.includes('GetOrder'))`)
	p.key(kb.Escape)
	p.await("the filter is left", "!("+focus("#filter")+")")

	p.key("j")
	p.await("a call is selected", `document.querySelectorAll('.row[aria-selected=true]').length === 1`)

	p.key("k")
	p.key("j")
	p.await("one call is selected", `document.querySelectorAll('.row[aria-selected=true]').length === 1`)
	p.key(kb.Enter)
	p.await("the call is open", `!document.querySelector('#detail').hidden && !document.querySelector('#panel-overview').hidden`)

	for _, name := range []string{"exchange", "messages", "metadata", "raw", "overview"} {
		p.key("]")
		p.await("] goes on to "+name, fmt.Sprintf("document.querySelector('#tab-%s').ariaSelected === 'true' && !document.querySelector('#panel-%[1]s').hidden", name))
	}
	p.key("[")
	p.await("[ goes back", "document.querySelector('#tab-raw').ariaSelected === 'true'")

	// Everything that can be reached with Tab shows that it has the focus.
	reached := map[string]bool{}
	for range 60 {
		p.key(kb.Tab)
		for _, selector := range []string{"nav a", "#help", "#theme", "#pause", "#filter", "#capture", "#export", "#calls-grid", "#splitter", "#tab-raw", "#panel-raw", "#replay", "#detail-close"} {
			if eval[bool](p, focus(selector)) {
				reached[selector] = true
			}
		}
	}
	if len(reached) != 13 {
		t.Errorf("Tab reaches only %v", reached)
	}
	p.run("document.activeElement.blur()")

	p.key("r")
	p.await("the replay dialog is open, with the focus in it", `document.querySelector('#replay-dialog')?.open && `+focus("#replay-dialog"))
	p.key(kb.Enter)
	p.await("the call is made again", `document.querySelector('#result')`)
	p.key(kb.Escape)
	p.await("the dialog is closed", "!document.querySelector('#replay-dialog')")
	p.key(kb.Escape)
	p.await("the call is closed, and the list has the focus", `document.querySelector('#detail').hidden && `+focus("#calls-grid"))

	p.key("?")
	p.await("help is open", "document.querySelector('#help-dialog')?.open")
	p.key(kb.Escape)
	p.await("help is closed", "!document.querySelector('#help-dialog')")
	p.key(" ")
	p.await("the list is paused", `document.querySelector('#pause').getAttribute('aria-pressed') === 'true'`)
	p.key(" ")
	p.key(kb.End)
	p.await("the list follows the newest", `document.querySelector('#follow').getAttribute('aria-pressed') === 'true'`)
}
