// Package browser drives the inspector as a person does: with a real browser,
// on a real loomd with the demo's calls.
package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"loom/test/daemon"
)

// patience bounds every wait for the page. It is far above what the page
// needs, so that a loaded machine does not fail a test.
const patience = 20 * time.Second

// The program without the race detector, which would make the page wait; and
// the browser of all tests.
var (
	program *daemon.Program
	browser context.Context
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	path, err := exec.LookPath("chromium")
	if err != nil {
		fmt.Fprintln(os.Stderr, "chromium is missing; as root on Debian run: apt-get install chromium")
		return 1
	}
	if program, err = daemon.Build(false); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer program.Remove()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	allocator, endBrowser := chromedp.NewExecAllocator(context.Background(), options...)
	defer endBrowser()
	opened, closeBrowser := chromedp.NewContext(allocator)
	defer closeBrowser()
	browser = opened //nolint:fatcontext // set once, before any test
	if err := chromedp.Do(browser); err != nil {
		fmt.Fprintln(os.Stderr, "start the browser:", err)
		return 1
	}
	return m.Run()
}

// loomd is a running loomd with an inspector.
type loomd struct {
	*daemon.Process
	args              []string
	listen, inspector string
	url               string // of the inspector, with the token
}

// startDemo runs a loomd with the demo's backends and traffic.
func startDemo(t *testing.T) *loomd {
	t.Helper()
	return startLoomd(t, "-demo")
}

// startLoomd runs a loomd with these flags and addresses of its own.
func startLoomd(t *testing.T, flags ...string) *loomd {
	t.Helper()
	d := newLoomd(t)
	d.args = append([]string{"-quiet", "-listen", d.listen, "-inspector", d.inspector}, flags...)
	d.start(t)
	return d
}

func newLoomd(t *testing.T) *loomd {
	t.Helper()
	d := &loomd{listen: daemon.FreeAddress(t)}
	// An address that is free may be the same twice.
	for d.inspector = d.listen; d.inspector == d.listen; {
		d.inspector = daemon.FreeAddress(t)
	}
	return d
}

// start starts loomd, again on the same addresses if it ran before.
func (d *loomd) start(t *testing.T) {
	t.Helper()
	d.Process = program.Start(t, d.args...)
	d.Await(t, "loomd prints where the inspector is", func() bool {
		_, after, found := strings.Cut(d.Stderr(), "Inspector: ")
		url, _, whole := strings.Cut(after, "\n")
		d.url = url
		return found && whole
	})
	d.WaitListening(t, d.inspector)
}

// token is what opens the inspector.
func (d *loomd) token() string {
	_, token, _ := strings.Cut(d.url, "token=")
	return token
}

// tab is a page of the browser, with cookies of its own.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// open opens a tab of 1400 x 900 on the address.
func open(t *testing.T, url string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx}
	// The context of the first action decides how long the tab lives.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.EmulateViewport(1400, 900), chromedp.Navigate(url))
	return p
}

// of is the tab for a part of the test.
func (p *tab) of(t *testing.T) *tab { return &tab{t: t, ctx: p.ctx} }

// do runs actions, within patience.
func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("drive the page: %v", err)
	}
}

// eval returns what a JavaScript expression is, or comes to be if it is a
// promise.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("ask the page for %s: %v", expression, err)
	}
	return value
}

// run runs a JavaScript statement.
func (p *tab) run(statement string) {
	p.t.Helper()
	eval[bool](p, "("+statement+", true)")
}

// await polls until the expression is true. One that fails, because the page is
// not there yet, is not.
func (p *tab) await(what, expression string) {
	p.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if eval[bool](p, "(() => { try { return !!("+expression+") } catch { return false } })()") {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("waiting until %s: not so after %v; the page says: %.2000s", what, patience, eval[string](p, "document.body.innerText"))
		}
	}
}

// key presses a key, by its name or text.
func (p *tab) key(keys string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys))
}

// filter types a filter.
func (p *tab) filter(text string) {
	p.t.Helper()
	p.do(chromedp.Click("#filter"))
	p.run(`document.querySelector('#filter').select()`)
	p.do(chromedp.SendKeys("#filter", text))
	p.key("\r")
}

// fill gives a field a value, as typing would.
func (p *tab) fill(selector, text string) {
	p.t.Helper()
	p.run(fmt.Sprintf(`(e => { e.value = %[2]q; e.dispatchEvent(new Event('input', {bubbles: true})) })(document.querySelector(%[1]q))`, selector, text))
}

// live waits until calls come in.
func (p *tab) live() {
	p.t.Helper()
	p.await("the page is live and shows calls", `document.querySelector('#link').dataset.link === 'live' && document.querySelectorAll('.row[data-id]:not([hidden])').length > 2`)
}
