package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// An endpoint is drained, and undrained, once the person has confirmed it.
func TestDrainAnEndpoint(t *testing.T) {
	p := open(t, startDemo(t).url)
	p.live()
	p.withAxe()
	p.table("backends")
	const row = `document.querySelector('#table-endpoints tbody tr')`
	p.await("the endpoint is in use", row+`.innerText.includes('ready')`)

	p.do(chromedp.Click("#table-endpoints tbody tr button"))
	p.await("it asks first", `document.querySelector('#drain-confirm').innerText.includes('gets no new calls')`)
	p.accessible("the question whether to drain an endpoint")
	p.do(chromedp.Click("#drain-confirm footer button"))
	p.await("the question is gone", `!document.querySelector('#drain-confirm')`)
	if text := eval[string](p, row+`.innerText`); !strings.Contains(text, "ready") {
		t.Fatalf("the endpoint is %q although the person did not confirm", text)
	}

	p.do(chromedp.Click("#table-endpoints tbody tr button"), chromedp.Click("#drain-do"))
	p.await("it is drained", `/\bdrain(ed|ing)\b/.test(`+row+`.innerText)`)
	p.do(chromedp.Click("#table-endpoints tbody tr button"), chromedp.Click("#drain-do"))
	p.await("it is in use again", row+`.innerText.includes('ready')`)
}
