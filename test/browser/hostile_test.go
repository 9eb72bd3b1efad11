package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"google.golang.org/grpc/metadata"
)

// What calls carry is shown as text: it is never markup, gives no command, and
// turns no direction round.
func TestHostilePayloadsAreText(t *testing.T) {
	d := startDemo(t)
	tab := open(t, d.url)
	tab.live()
	client := dial(t, d.listen)
	for _, c := range []struct{ name, id, shown string }{
		{"script", `</script><img src=x onerror="window.broken=1"><script>window.broken=1</script>`, `</script><img src=x onerror=`},
		{"ansi", "\x1b[31mred\x1b]0;title\x07", `\u001b[31mred\u001b]0;title\u0007`},
		{"direction", "a\u202egpj.exe\u2066b", `a\u202egpj.exe\u2066b`},
		{"nul", "a\x00b", `a\u0000b`},
		{"emoji", strings.Repeat("\U0001f9f5", 10000), "\U0001f9f5\U0001f9f5\U0001f9f5"},
		{"megabyte", strings.Repeat("\U0001f9f5", 1<<20/4), "Truncated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := tab.of(t)
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-case", c.name)
			if err := call(ctx, client, "/demo.shop.v1.Orders/GetOrder", c.id); err == nil {
				t.Fatal("the demo takes the id for that of an order")
			}
			p.filter("md.x-case:" + c.name)
			p.await("the call is found", rows+".length === 1")
			p.do(chromedp.Click(`.row[data-id]:not([hidden]) [data-column="method"]`))
			for panel, selector := range map[string]string{"overview": "#verdict", "exchange": "[data-side=request] .decoded", "messages": "#message-list [data-seq]", "metadata": "section[data-part=request]", "raw": "pre.hex"} {
				p.do(chromedp.Click("#tab-" + panel))
				p.await(panel+" is shown", fmt.Sprintf("%s !== '' && !document.querySelector('#panel-%s').hidden", text(selector), panel))
				if panel == "exchange" {
					p.await("the id is shown as text", fmt.Sprintf("%s.includes(%q)", text(selector), c.shown))
				}
				if found := eval[string](p, `document.querySelector('#detail').textContent.match(/[\u0000-\u0008\u000b-\u001f\u202a-\u202e\u2066-\u2069]/)?.[0] ?? ''`); found != "" {
					t.Errorf("%s has the character %U as it is", panel, []rune(found))
				}
			}
			if eval[bool](p, `'broken' in window || document.querySelector('#main img, #main script') !== null`) {
				t.Error("a payload became a part of the page")
			}
			p.home()
		})
	}
}
