package browser

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"
)

// A page of another server of this machine is of the same site, so the browser
// sends the cookie of the inspector along. It still may not look or act.
func TestDefect09AnotherPageCannotReplay(t *testing.T) {
	d := startDemo(t)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if _, err := w.Write([]byte("<!doctype html><title>other</title>")); err != nil {
			t.Errorf("serve the other page: %v", err)
		}
	}))
	t.Cleanup(other.Close)
	p := open(t, d.url)
	p.live()
	id := eval[string](p, rows+"[0].dataset.id")
	p.do(chromedp.Navigate(other.URL))
	inspector := "'http://" + d.inspector
	for what, ask := range map[string]string{
		"reads the calls":   `fetch(` + inspector + `/api/calls', {credentials: 'include'})`,
		"reads the session": `fetch(` + inspector + `/api/session', {credentials: 'include'})`,
		"replays as JSON":   `fetch(` + inspector + `/api/calls/` + id + `/replay', {method: 'POST', credentials: 'include', headers: {'Content-Type': 'application/json'}, body: '{}'})`,
		"replays as a form": `fetch(` + inspector + `/api/calls/` + id + `/replay', {method: 'POST', credentials: 'include', headers: {'Content-Type': 'text/plain'}, body: '{}'})`,
		"follows the calls": `new Promise((yes, no) => { const s = new EventSource(` + inspector + `/api/stream', {withCredentials: true}); s.onopen = yes; s.onerror = no })`,
		"frames the page":   `new Promise((yes, no) => { const f = document.createElement('iframe'); f.onload = () => { try { f.contentDocument ? no() : no() } catch { no() } }; f.onerror = no; f.src = ` + inspector + `/'; document.body.append(f) })`,
	} {
		if eval[bool](p, "("+ask+").then(() => true, () => false)") {
			t.Errorf("another page %s", what)
		}
	}
	// A request whose answer the page may not read could still act.
	p.run(`fetch(` + inspector + `/api/calls/` + id + `/replay', {method: 'POST', mode: 'no-cors', credentials: 'include', body: '{}'})`)
	p.do(chromedp.Navigate("http://" + d.inspector + "/"))
	p.live()
	p.filter("is:replayed")
	p.await("no call was made again", `document.querySelector('#blank:not([hidden])').dataset.state === 'nomatch'`)
}

// A call is shown from its start, message by message, and its row is the same
// once it has ended.
func TestDefect10ACallIsShownBeforeItEnds(t *testing.T) {
	p := open(t, startDemo(t).url)
	p.live()
	p.filter("method:Track is:open")
	p.await("an open call is shown", rows+".length > 0")
	id := eval[string](p, rows+"[0].dataset.id")
	p.run(`location.hash = '#/calls/` + id + `/messages'`)
	p.await("the times of its messages are shown", `/\+[\d.]+ .?s/.test(`+text("#message-list [data-seq]")+`)`)
	p.await("it ends, and says how", `document.querySelector('.row[data-id="`+id+`"]')?.classList.contains('tone-run') === false`)
}

// Details of an error, search by content and what was taken out, in the page.
func TestDefect15DetailsSearchAndRedaction(t *testing.T) {
	p := open(t, startDemo(t).url)
	p.live()
	p.openCall("status:NOT_FOUND method:GetOrder", "overview", "#verdict")
	p.await("the details of the status are decoded", text("#panel-overview")+".includes('google.rpc.ErrorInfo') && "+text("#panel-overview")+".includes('UNKNOWN_NAME')")
	p.home()
	p.openCall("method:GetOrder status:OK", "exchange", "[data-side=response] .json-node")
	p.await("what is marked debug_redact is taken out", text("[data-side=response]")+".includes('[redacted]') && !/\\w@\\w/.test("+text("[data-side=response]")+")")
	order := eval[string](p, text("[data-side=request] .json")+".match(/ord-[0-9]+/)[0]")
	p.home()
	p.filter("body:" + order)
	p.await("the call is found by its content", rows+`.length > 0 && document.querySelector('#filter').getAttribute('aria-busy') !== 'true' && `+rows+`.every(r => r.innerText.includes('Orders'))`)
}
