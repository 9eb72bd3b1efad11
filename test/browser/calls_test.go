package browser

import (
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
)

// rows is the visible rows of calls.
const rows = `[...document.querySelectorAll('.row[data-id]:not([hidden])')]`

func TestTokenInTheAddressLogsIn(t *testing.T) {
	p := open(t, startDemo(t).url)
	p.live()
	if address := eval[string](p, "location.href"); strings.Contains(address, "token") {
		t.Errorf("the token is still in the address: %s", address)
	}
}

func TestWithoutTokenThePageAsksForIt(t *testing.T) {
	d := startDemo(t)
	p := open(t, "http://"+d.inspector+"/")
	p.await("the page asks for the token", `document.querySelector('#login-dialog').open`)
	p.do(chromedp.SendKeys("#token", "wrong-token-wrong-token"), chromedp.Click("#login"))
	p.await("a wrong token is refused", `document.querySelector('#login-error').textContent !== ''`)
	p.fill("#token", d.token())
	p.do(chromedp.Click("#login"))
	p.live()
}

func TestFilterIsKeptOverAReload(t *testing.T) {
	p := open(t, startDemo(t).url)
	p.live()
	p.filter("service:demo.pay.v1.Ledger")
	p.await("only calls of the ledger are shown", rows+`.length > 0 && `+rows+`.every(r => r.innerText.includes('Ledger'))`)
	p.do(chromedp.Reload())
	p.await("the filter is still there", `document.querySelector('#filter').value.includes('Ledger')`)
	p.await("and still holds", rows+`.length > 0 && `+rows+`.every(r => r.innerText.includes('Ledger'))`)
}

// Each kind of call is opened while the demo makes it, decoded.
func TestAllFourKindsAreShownDecoded(t *testing.T) {
	p := open(t, startDemo(t).url)
	p.live()
	for kind, want := range map[string]string{"unary": "GetOrder", "client": "UploadItems", "server": "ListOrders", "bidi": "Track"} {
		p.filter("kind:" + kind + " method:" + want)
		p.await("a call of kind "+kind+" is shown", rows+`.some(r => r.innerText.includes('`+want+`'))`)
		p.do(chromedp.Click(`.row[data-id]:not([hidden]) [data-column="method"]`))
		p.await("its detail is open", `!document.querySelector('#detail').hidden && document.querySelector('#detail-title').textContent.includes('`+want+`')`)
		p.do(chromedp.Click("#tab-exchange"))
		p.await("its request is decoded", `document.querySelector('[data-side=request] .json, [data-side=request] .decoded')`)
		p.do(chromedp.Click("#detail-close"))
	}
}

// A stream is opened while it goes on: it shows as open, then as ended.
func TestAStreamIsShownWhileItIsOpen(t *testing.T) {
	p := open(t, startDemo(t).url)
	p.live()
	p.filter("method:Track is:open")
	p.await("an open stream is shown", rows+`.length > 0`)
	id := eval[string](p, rows+`[0].dataset.id`)
	p.run(`location.hash = '#/calls/` + id + `/messages'`)
	p.await("its messages are shown", `document.querySelectorAll('#message-list [data-seq]').length > 0`)
}

func TestLoomdThatStartsAgainIsNoticed(t *testing.T) {
	d := startDemo(t)
	p := open(t, d.url)
	p.live()
	d.Signal(t, syscall.SIGINT)
	d.WaitExit(t, patience)
	p.await("the page says that it has lost loomd", `document.querySelector('#link').dataset.link === 'lost'`)
	d.start(t)
	p.await("the page asks for the new token or is live", `document.querySelector('#login-dialog').open || document.querySelector('#link').dataset.link === 'live'`)
}

func TestReplayWithAnEdit(t *testing.T) {
	p := open(t, startDemo(t).url)
	p.live()
	p.filter("method:GetOrder status:OK")
	p.await("a call that went well is shown", rows+`.length > 0`)
	p.do(chromedp.Click(`.row[data-id]:not([hidden]) [data-column="method"]`))
	p.await("it can be edited", `!document.querySelector('#detail').hidden && !document.querySelector('#edit').disabled`)
	p.do(chromedp.Click("#edit"))
	p.await("the editor has the request", `document.querySelector('#replay-dialog').open && document.querySelector('#replay-dialog textarea')?.value.includes('orderId')`)
	p.fill("#replay-dialog textarea", `{"orderId": "ord-9999"}`)
	p.await("it may be sent", `!document.querySelector('#send').disabled`)
	p.do(chromedp.Click("#send"))
	p.await("the answer is shown with what differs", `document.querySelector('#result')?.innerText.includes('NOT_FOUND')`)
}

// A call shows within 200 ms of its start, by the clock that page and loomd
// share.
func TestACallAppearsAtOnce(t *testing.T) {
	p := open(t, startDemo(t).url)
	p.live()
	delay := eval[float64](p, `(async () => {
		const known = new Set(`+rows+`.map(r => r.dataset.id));
		const [id, at] = await new Promise(done => {
			const look = () => {
				const row = `+rows+`.find(r => !known.has(r.dataset.id));
				row ? done([row.dataset.id, Date.now()]) : requestAnimationFrame(look);
			};
			look();
		});
		const all = await (await fetch('/api/calls')).json();
		return at - Number(all.calls.find(c => c.id === id).at) / 1000;
	})()`)
	t.Logf("shown %.0f ms after its start", delay)
	if delay > 200 {
		t.Errorf("the call was shown %.0f ms after its start", delay)
	}
}
