package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"loom/test/daemon"
)

// text is the JavaScript for the text of an element, or "".
func text(selector string) string {
	return fmt.Sprintf("(document.querySelector(%q)?.innerText ?? '')", selector)
}

// mark is whether a line of that kind is in sight in the list.
func mark(kind string) string {
	return fmt.Sprintf("document.querySelector('.row.mark.%s:not([hidden])')", kind)
}

// startFixed runs loomd in front of one backend with a token of its own
// choice, so that a browser that is logged in stays so when it starts again.
func startFixed(t *testing.T, backend string) *loomd {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a-token-of-this-test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newLoomd(t)
	d.args = []string{"-quiet", "-config", daemon.WriteConfig(t, fmt.Sprintf(`
listeners:
  - {name: plain, address: %q}
backends:
  main: {targets: [%q]}
routes:
  - {name: everything, backend: main}
inspector: {address: %q, token_file: %q}
`, d.listen, backend, d.inspector, token))}
	d.start(t)
	return d
}

// From the first look at a loomd without calls to a call of whose messages
// nothing is known.
func TestStatesWithoutReflection(t *testing.T) {
	d := startRelay(t, startBackend(t))
	p := open(t, d.url)
	p.withAxe()
	p.await("the page says where to send a call", text("#blank:not([hidden])")+fmt.Sprintf(".includes(%q)", d.listen))
	p.review("waiting")
	pings(t, dial(t, d.listen), 3, 0)
	p.await("the calls are shown", rows+".length === 3")
	p.do(chromedp.Click(`.row[data-id]:not([hidden]) [data-column="method"]`), chromedp.Click("#tab-exchange"))
	p.await("the message is shown by field number", text("[data-side=request] .decoded")+".includes('schemaless') && "+text("[data-side=request] .decoded")+".includes('ping')")
	p.review("undecodable")
}

func TestTheLoginDialogIsAccessible(t *testing.T) {
	p := open(t, "http://"+startRelay(t, startBackend(t)).inspector+"/")
	p.withAxe()
	p.await("the page asks for the token", `document.querySelector('#login-dialog').open`)
	p.review("login")
}

// A loomd that starts again on the same addresses: the page says so while it is
// gone, goes on by itself and draws a line below the calls of before.
func TestARestartIsShown(t *testing.T) {
	backend := startBackend(t)
	d := startFixed(t, backend)
	p := open(t, "http://"+d.inspector+"/?token=a-token-of-this-test")
	p.withAxe()
	pings(t, dial(t, d.listen), 3, 0)
	p.await("the calls are shown", rows+".length === 3")
	before := eval[[]string](p, rows+".map(r => r.dataset.id)")
	d.Signal(t, syscall.SIGINT)
	d.WaitExit(t, patience)
	p.await("the page says that loomd is gone", `document.querySelector('#banner:not([hidden])').dataset.state === 'lost'`)
	p.review("reconnecting")
	d.start(t)
	p.await("the page is live again", `document.querySelector('#link').dataset.link === 'live'`)
	pings(t, dial(t, d.listen), 2, 0)
	p.await("the new calls are below a line", rows+".length === 5 && "+mark("epoch")+".innerText.includes('started anew')")
	after := eval[[]string](p, rows+".map(r => r.dataset.id)")
	for at, id := range before {
		if after[at] != id {
			t.Errorf("call %d was %s before and is %s after the restart", at, id, after[at])
		}
	}
	p.review("restarted")
}

// With a token made anew at each start the page asks for it, and goes on.
func TestARestartWithANewToken(t *testing.T) {
	d := startRelay(t, startBackend(t))
	p := open(t, d.url)
	pings(t, dial(t, d.listen), 3, 0)
	p.await("the calls are shown", rows+".length === 3")
	d.Signal(t, syscall.SIGINT)
	d.WaitExit(t, patience)
	d.start(t)
	p.await("the page asks for the new token", `document.querySelector('#login-dialog').open`)
	p.fill("#token", d.token())
	p.do(chromedp.Click("#login"))
	p.await("the page is live again", `document.querySelector('#link').dataset.link === 'live'`)
	pings(t, dial(t, d.listen), 2, 0)
	p.await("the new calls are below a line", rows+".length === 5 && "+mark("epoch"))
}
