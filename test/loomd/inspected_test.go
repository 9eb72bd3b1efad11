package loomd

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"loom/test/daemon"
)

// inspected is a loomd with an inspector, and somebody logged in to it.
type inspected struct {
	*daemon.Process

	address string // where it takes calls
	page    string // http://host:port of the inspector
	browser *http.Client
}

// startInspected runs loomd before the backend at the address, with more lines
// for its loom.yaml. What it keeps on disk lies in a folder of the test.
func startInspected(t *testing.T, backend, more string) *inspected {
	t.Helper()
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	d := &inspected{address: daemon.FreeAddress(t)}
	d.Process = program.Start(t, "-quiet", "-config", daemon.WriteConfig(t, `
listeners:
  - {name: plain, address: "`+d.address+`"}
backends:
  main: {targets: ["`+backend+`"]}
routes:
  - {name: all, backend: main}
inspector: {address: "`+daemon.FreeAddress(t)+`"}
`+more))
	var login string
	d.Await(t, "loomd prints where the inspector is", func() bool {
		_, after, found := strings.Cut(d.Stderr(), "Inspector: ")
		line, _, whole := strings.Cut(after, "\n")
		login = line
		return found && whole
	})
	d.WaitListening(t, d.address)
	at, err := url.Parse(login)
	if err != nil {
		t.Fatalf("the address of the inspector: %v", err)
	}
	d.page = at.Scheme + "://" + at.Host
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatalf("make a place for cookies: %v", err)
	}
	d.browser = &http.Client{Jar: jar, Timeout: time.Minute}
	t.Cleanup(d.browser.CloseIdleConnections)
	if answer := d.ask(t, http.MethodGet, strings.TrimPrefix(login, d.page), "", nil); answer.code != http.StatusOK {
		t.Fatalf("log in: %d %s", answer.code, answer.body)
	}
	return d
}

// answer is what the inspector said.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

// ask sends a request with the cookie; edit, if any, changes it first.
func (d *inspected) ask(t *testing.T, method, path, body string, edit func(*http.Request)) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, d.page+path, strings.NewReader(body))
	if err != nil {
		t.Fatalf("make a request: %v", err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if edit != nil {
		edit(request)
	}
	response, err := d.browser.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("read the answer to %s %s: %v", method, path, err)
	}
	return answer{response.StatusCode, response.Header, bytes.TrimSpace(all)}
}

// get reads JSON.
func (d *inspected) get(t *testing.T, path string, into any) {
	t.Helper()
	answer := d.ask(t, http.MethodGet, path, "", nil)
	if answer.code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, answer.code, answer.body)
	}
	if err := json.Unmarshal(answer.body, into); err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, answer.body)
	}
}

// row is a call in the list.
type row struct {
	ID    string `json:"id"`
	Path  string `json:"path"`
	State string `json:"state"`
	Code  *int   `json:"code"`
	Up    string `json:"up"` // messages
	Down  string `json:"down"`
}

// rows lists the calls that a filter wants; an empty one wants all.
func (d *inspected) rows(t *testing.T, filter string) []row {
	t.Helper()
	var list struct {
		Calls []row `json:"calls"`
	}
	d.get(t, "/api/calls?q="+url.QueryEscape(filter), &list)
	return list.Calls
}

// record is all of a call but its messages.
type record struct {
	Call struct {
		Status struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"status"`
		Request  []metadata `json:"requestHeaders"`
		Response []metadata `json:"responseHeaders"`
		Trailers []metadata `json:"trailers"`
		ReplayOf string     `json:"replayOf"`
	} `json:"call"`
	View struct {
		Verdict       string          `json:"verdict"`
		StatusDetails json.RawMessage `json:"statusDetails"`
		Response      struct {
			First *message `json:"first"`
		} `json:"response"`
	} `json:"view"`
}

type metadata struct {
	Name     string `json:"name"`
	Text     string `json:"text"`
	Redacted bool   `json:"redacted"`
}

type message struct {
	Direction   string          `json:"direction"`
	At          int64           `json:"at"` // microseconds
	Size        int             `json:"size"`
	DecodedSize int             `json:"decodedSize"`
	Encoding    string          `json:"encoding"`
	JSON        json.RawMessage `json:"json"`
	Error       string          `json:"error"`
}

// ended waits until the method has one call that has ended, and returns its
// row and its record.
func (d *inspected) ended(t *testing.T, path string) (row, record) {
	t.Helper()
	return d.one(t, path, "CALL_STATE_ENDED")
}

func (d *inspected) one(t *testing.T, path, state string) (found row, r record) {
	t.Helper()
	d.Await(t, "a call of "+path+" is listed as "+state, func() bool {
		for _, row := range d.rows(t, "") {
			if row.Path == path && row.State == state {
				found = row
				return true
			}
		}
		return false
	})
	d.get(t, "/api/calls/"+found.ID, &r)
	return found, r
}

// values are those of one name, in their order.
func values(block []metadata, name string) []string {
	var out []string
	for _, m := range block {
		if m.Name == name {
			out = append(out, m.Text)
		}
	}
	return out
}
