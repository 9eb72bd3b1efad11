package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"loom/test/daemon"
)

// state is one that the page can be in while the demo runs, and how a person
// brings it there.
type state struct {
	name  string
	reach func(*tab)
}

// callStates are those of the list and the detail, actionStates those of the
// dialogs, the panels and capture.
var callStates = []state{
	{"calls", func(p *tab) { p.live() }},
	{"paused", func(p *tab) {
		p.key(" ")
		p.await("the page says how many calls wait", `document.querySelector('#pause').innerText.includes('new')`)
	}},
	{"no match", func(p *tab) {
		p.filter("method:NoSuchMethod")
		p.await("the page says that nothing matches", `document.querySelector('#blank:not([hidden])').dataset.state === 'nomatch'`)
	}},
	{"filter error", func(p *tab) {
		p.filter("latency:>soon")
		p.await("the page says what is wrong", `!document.querySelector('#filter-error').hidden`)
	}},
	{"suggestions", func(p *tab) {
		p.do(chromedp.Click("#filter"), chromedp.SendKeys("#filter", "sta"))
		p.await("the page suggests", `document.querySelector('#suggestion-0')`)
	}},
	{"overview", func(p *tab) { p.openCall("status:NOT_FOUND", "overview", "#verdict") }},
	{"request and response", func(p *tab) { p.openCall("method:GetOrder status:OK", "exchange", ".json-node") }},
	{"messages", func(p *tab) { p.openCall("method:Track", "messages", "#message-list [data-seq]") }},
	{"metadata", func(p *tab) { p.openCall("method:GetOrder status:OK", "metadata", "section[data-part=request]") }},
	{"raw", func(p *tab) { p.openCall("method:GetOrder status:OK", "raw", "pre.hex") }},
	{"truncated", func(p *tab) { p.openCall("is:truncated", "exchange", "[data-note=truncated]") }},
	{"evicted", func(p *tab) {
		p.run(`location.hash = '#/calls/1-1/overview'`)
		p.await("the page says that the call is gone", `document.querySelector('#detail-state [data-state=evicted]')`)
	}},
}

var actionStates = []state{
	{"status", func(p *tab) { p.panel("status") }},
	{"columns", func(p *tab) {
		p.do(chromedp.Click("#columns"))
		p.await("the menu is open", `document.querySelector('#column-time')`)
	}},
	{"help", func(p *tab) {
		p.key("?")
		p.await("help is open", `document.querySelector('#help-dialog').open`)
	}},
	{"replay", func(p *tab) {
		p.openCall("method:GetOrder status:OK", "overview", "#replay:not([disabled])")
		p.key("r")
		p.await("the dialog is open", `document.querySelector('#replay-dialog').open`)
	}},
	{"editor error", func(p *tab) {
		p.openCall("method:GetOrder status:OK", "overview", "#edit:not([disabled])")
		p.key("e")
		p.await("the editor has the request", `document.querySelector('#replay-dialog textarea')?.value.includes('orderId')`)
		p.fill("#replay-dialog textarea", `{"orderId": 7, "size": "big"}`)
		p.await("the editor says what is wrong", `document.querySelector('#editor-errors li')`)
	}},
	{"replayed", func(p *tab) {
		p.openCall("method:GetOrder status:OK", "overview", "#edit:not([disabled])")
		p.key("e")
		p.await("the editor has the request", `document.querySelector('#replay-dialog textarea')?.value.includes('orderId')`)
		p.fill("#replay-dialog textarea", `{"orderId": "ord-9999"}`)
		p.await("it may be sent", `!document.querySelector('#send').disabled`)
		p.do(chromedp.Click("#send"))
		p.await("the answer is there", `document.querySelector('#result')?.innerText.includes('NOT_FOUND')`)
	}},
	{"services", func(p *tab) {
		p.panel("services")
		p.await("the methods are listed", `document.querySelectorAll('.tree-method').length > 5`)
	}},
	{"compose", func(p *tab) {
		p.panel("services")
		p.await("the methods are listed", `[...document.querySelectorAll('.tree-method')].some(m => m.dataset.path.endsWith('/GetOrder'))`)
		p.do(chromedp.Click(`.tree-method[data-path$="/GetOrder"]`))
		p.await("the form is there", `document.querySelector('#compose textarea')`)
		p.fill("#compose textarea", `{"orderId": "ord-9999"}`)
		p.do(chromedp.Click("#compose-send"))
		p.await("the answer is there", `document.querySelector('#result')?.innerText.includes('NOT_FOUND')`)
	}},
	{"routes", func(p *tab) { p.table("routes") }},
	{"backends", func(p *tab) { p.table("backends") }},
	{"breakers", func(p *tab) { p.table("breakers") }},
	{"breaker confirmation", func(p *tab) {
		p.table("breakers")
		p.do(chromedp.Click("#breaker-open-pay"))
		p.await("the page asks first", `document.querySelector('#breaker-confirm').open`)
	}},
	{"config", func(p *tab) { p.panel("config") }},
	{"metadata only", func(p *tab) { p.capture("metadata") }},
	{"capture off", func(p *tab) { p.capture("off") }},
}

// openCall opens the first call that matches, at a tab, and waits for what is
// to be in it.
func (p *tab) openCall(filter, name, want string) {
	p.t.Helper()
	p.filter(filter)
	p.await("a call is shown for "+filter, fmt.Sprintf(`document.querySelector('#filter').value.trim() === %q && %s.length > 0`, filter, rows))
	p.do(chromedp.Click(`.row[data-id]:not([hidden]) [data-column="method"]`), chromedp.Click("#tab-"+name))
	p.await("its "+name+" is shown", fmt.Sprintf(`document.querySelector('#detail %s') && !document.querySelector('#panel-%s').hidden`, want, name))
}

// panel goes to a panel of the page, by its name at the top.
func (p *tab) panel(name string) {
	p.t.Helper()
	p.do(chromedp.Click(fmt.Sprintf("nav a[data-page=%s]", name)))
	p.await("the panel "+name+" is shown", fmt.Sprintf("document.querySelector('#page-%s').innerText.length > 20", name))
}

func (p *tab) table(name string) {
	p.t.Helper()
	p.panel(name)
	p.await("it has a row", fmt.Sprintf("document.querySelector('#table-%s tr[data-name]')", name))
}

// capture changes what loomd records, by the menu.
func (p *tab) capture(mode string) {
	p.t.Helper()
	p.do(chromedp.Click("#capture"), chromedp.Click("#capture-"+mode))
	banner := `document.querySelector('#banner')`
	if mode == "full" {
		p.await("no banner is left", banner+".hidden")
	} else {
		p.await("the page says so", fmt.Sprintf("!%s.hidden && %[1]s.dataset.state === '%s'", banner, mode))
	}
}

// home leaves whatever state the page is in for the list of calls.
func (p *tab) home() {
	p.t.Helper()
	p.run(`(document.querySelectorAll('dialog[open]').forEach(d => d.close()), document.querySelectorAll(':popover-open').forEach(m => m.hidePopover()),
		document.querySelector('#filter-clear')?.click(), document.activeElement.blur(), location.hash = '#/calls')`)
	p.await("the list has no filter", `document.querySelector('#page-calls') && document.querySelector('#filter').value === '' && document.querySelector('#detail').hidden`)
	if eval[bool](p, `document.querySelector('#pause').getAttribute('aria-pressed') === 'true'`) {
		p.key(" ")
	}
	if !eval[bool](p, `document.querySelector('#banner').hidden`) {
		p.capture("full")
	}
}

// pictures is the folder for the pictures of the states, for a person to look
// at. Git ignores it.
func pictures(t *testing.T) string {
	t.Helper()
	root, err := daemon.Root()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(root, ".tmp", "screenshots")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// scheme has the page drawn as on a system that is light, or dark.
func (p *tab) scheme(name string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
	if err != nil {
		p.t.Fatalf("make the page %s: %v", name, err)
	}
	p.await("the page is "+name, fmt.Sprintf("matchMedia('(prefers-color-scheme: %s)').matches", name))
}

// picture writes what the page looks like to a file of the folder.
func (p *tab) picture(name string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	image, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatalf("take a picture: %v", err)
	}
	if err := os.WriteFile(filepath.Join(pictures(p.t), strings.ReplaceAll(name, " ", "-")+".png"), image, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// review judges the state that the page is in, light and dark, and takes
// pictures of it; one in a narrow window too.
func (p *tab) review(name string) {
	p.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		p.scheme(scheme)
		p.accessible(name + ", " + scheme)
		p.picture(name + " " + scheme)
	}
	p.do(chromedp.EmulateViewport(1000, 700))
	p.await("the page is no wider than the window", `document.documentElement.scrollWidth <= 1000`)
	p.picture(name + " narrow")
	p.do(chromedp.EmulateViewport(1400, 900))
}

func TestStatesOfCalls(t *testing.T) { reviewAll(t, callStates) }

func TestStatesOfDialogsAndPanels(t *testing.T) { reviewAll(t, actionStates) }

// reviewAll goes from the list of calls to each state and back.
func reviewAll(t *testing.T, states []state) {
	t.Helper()
	tab := open(t, startDemo(t).url)
	tab.live()
	tab.withAxe()
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			p := tab.of(t)
			state.reach(p)
			p.review(state.name)
			p.home()
		})
	}
}
