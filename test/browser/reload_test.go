package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"loom/test/daemon"
)

// A page that is open while loomd is reloaded, again and again: it stays logged
// in, its rows and its selection stay, new calls come below them, and a short
// notice is all that is to be seen of it.
func TestAReloadIsHardlyNoticed(t *testing.T) {
	backend := startBackend(t)
	d := newLoomd(t)
	socket := filepath.Join(daemon.SocketFolder(t), "admin.sock")
	loomctl, err := daemon.BuildTool(t.TempDir(), ".", "loom/cmd/loomctl")
	if err != nil {
		t.Fatal(err)
	}
	d.args = []string{"-quiet", "-admin", socket, "-config", daemon.WriteConfig(t, fmt.Sprintf(`
listeners:
  - {name: plain, address: %q}
backends:
  main: {targets: [%q]}
routes:
  - {name: everything, backend: main}
inspector: {address: %q}
restart: {probation: 200ms, drain: 1s}
`, d.listen, backend, d.inspector))}
	d.start(t)
	ctl := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(context.Background(), loomctl, append(args, "--socket", socket)...).Output()
		if err != nil {
			t.Fatalf("loomctl %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	t.Cleanup(func() { // the last of the processes is a child of the test, as all are
		var status struct {
			PID int `json:"pid"`
		}
		if err := json.Unmarshal([]byte(ctl("status", "-o", "json")), &status); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(status.PID, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_, _ = syscall.Wait4(status.PID, nil, 0, nil) // the first one is waited for elsewhere
	})
	p := open(t, d.url)
	pings(t, dial(t, d.listen), 3, 0)
	p.await("the calls are shown", rows+".length === 3")
	p.do(chromedp.Click(`.row[data-id]:not([hidden]) [data-column="method"]`))
	selected := eval[string](p, "document.querySelector('.row[aria-selected=true]').dataset.id")
	p.run("window.kept = true")
	p.run("window.links = new Set()")
	p.run(`new MutationObserver(() => links.add(document.querySelector('#link').dataset.link)).observe(document.querySelector('#link'), {attributes: true})`)
	shown := eval[[]string](p, rows+".map(r => r.dataset.id)")
	for generation := 2; generation <= 4; generation++ {
		ctl("reload")
		p.await("the page says which loomd it is now", text("#toast.shown")+fmt.Sprintf(".includes('generation %d')", generation))
		pings(t, dial(t, d.listen), 2, 0)
		p.await("the new calls are shown", rows+".length === "+strconv.Itoa(len(shown)+2))
		now := eval[[]string](p, rows+".map(r => r.dataset.id)")
		for at, id := range shown {
			if now[at] != id {
				t.Errorf("call %d was %s and is %s in generation %d", at, id, now[at], generation)
			}
		}
		shown = now
		p.await("the footer has counted all calls", text("[data-count=seen]")+fmt.Sprintf(".startsWith('%d ')", len(shown)))
		if at := eval[string](p, "document.querySelector('.row[aria-selected=true]').dataset.id"); at != selected {
			t.Errorf("call %s is selected in generation %d, not %s", at, generation, selected)
		}
	}
	if !eval[bool](p, "window.kept === true && !document.querySelector('.row.mark') && !document.querySelector('#login-dialog[open]')") {
		t.Error("the page was loaded anew, asked for the token, or drew a line between the calls")
	}
	if links := eval[[]string](p, "[...links]"); len(links) > 0 && (len(links) > 1 || links[0] != "live") {
		t.Errorf("the page was %v meanwhile", links)
	}
}
