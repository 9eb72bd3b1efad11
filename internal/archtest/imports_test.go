package archtest

import (
	"go/parser"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// house lists the packages from top to bottom. A package imports only what
// stands below it; the rules that are stricter or that differ come after.
var house = []string{
	"cmd/loomd",
	"cmd/loomctl",
	"internal/server",
	"internal/hotrestart",
	"internal/systemd",
	"internal/admin",
	"internal/adminclient",
	"internal/inspector",
	"internal/replay",
	"internal/export",
	"internal/grpcurl",
	"internal/relay",
	"internal/backend",
	"internal/h2",
	"internal/breaker",
	"internal/pki",
	"internal/proxyproto",
	"internal/route",
	"internal/capture",
	"internal/filter",
	"internal/reflectcache",
	"internal/decode",
	"internal/config",
	"internal/metrics",
	"internal/ledger",
	"internal/demo",
	"internal/callevent",
	"internal/loomtest",
	"internal/archtest",
	"api/loom/v1",
	"configs",
}

// rule forbids edges between packages of the house.
type rule struct {
	why    string
	from   func(importer string) bool
	to     func(imported string) bool
	except []string // "importer -> imported", edges that the rule lets pass
}

var rules = []rule{
	{
		why:  "it is a part that server fits together with others, so it stands alone",
		from: oneOf("internal/h2", "internal/breaker", "internal/pki", "internal/proxyproto", "internal/hotrestart", "internal/systemd", "internal/config", "internal/route", "internal/callevent", "internal/filter", "internal/ledger"),
		to:   under("internal"),
	},
	{
		why:    "capture stores what relay reports and nothing else, so callevent is all it needs",
		from:   oneOf("internal/capture"),
		to:     under("internal"),
		except: []string{"internal/capture -> internal/callevent"},
	},
	{
		why:  "the relay never decodes and never waits for anybody who watches",
		from: oneOf("internal/relay"),
		to: oneOf("internal/reflectcache", "internal/decode", "internal/admin", "internal/inspector",
			"internal/replay",
			"internal/export",
			"internal/grpcurl", "internal/capture", "internal/metrics"),
	},
	{
		why:  "the relay declares the breaker and the observer that it needs itself, so that either can be replaced",
		from: oneOf("internal/relay"),
		to:   oneOf("internal/breaker"),
	},
	{
		why:  "config is plain data, which only server turns into the options of each package",
		from: not(oneOf("internal/server", "internal/admin", "cmd/loomd")),
		to:   oneOf("internal/config"),
	},
	{
		why:    "loomctl talks to loomd over its socket and holds none of its insides",
		from:   oneOf("cmd/loomctl"),
		to:     under("internal"),
		except: []string{"cmd/loomctl -> internal/adminclient"},
	},
	{
		why:  "owners of state export snapshots as bytes; how they cross a reload is the business of server alone",
		from: not(oneOf("cmd/loomd", "internal/server")),
		to:   oneOf("internal/hotrestart"),
	},
	{
		why:  "loomtest is for tests only and must not reach a binary",
		from: not(oneOf("internal/loomtest")),
		to:   oneOf("internal/loomtest"),
	},
	{
		why:  "the api is the contract that anyone may import, so it drags nothing of ours along",
		from: under("api"),
		to:   under("internal"),
	},
	{
		why:  "a command is wiring, not a library",
		from: under(""),
		to:   under("cmd"),
	},
}

func oneOf(names ...string) func(string) bool {
	return func(name string) bool { return slices.Contains(names, name) }
}

func under(folder string) func(string) bool {
	return func(name string) bool { return folder == "" || strings.HasPrefix(name, folder+"/") }
}

func not(match func(string) bool) func(string) bool {
	return func(name string) bool { return !match(name) }
}

// TestImports holds the import rule: down the list, never up, and no edge that
// a rule forbids. Tests of a package may import what they please.
func TestImports(t *testing.T) {
	files := readTree(t)
	nested := moduleFolders(files)
	edges := 0
	for _, f := range files {
		if !f.isGo() || f.isTest() || !inMainModule(f, nested) {
			continue
		}
		importer := path.Dir(f.path)
		set, tree := f.parse(t, parser.ImportsOnly)
		for _, spec := range tree.Imports {
			imported, ok := ownPackage(t, spec.Path.Value)
			if !ok {
				continue
			}
			edges++
			if why := forbidden(importer, imported); why != "" {
				t.Errorf("%s: %s must not import %s: %s", set.Position(spec.Pos()), importer, imported, why)
			}
		}
	}
	t.Logf("judged %d imports between packages of the house", edges)
}

// modest are packages that know little of the world: what they import beside
// the standard library, with nothing of gRPC or HTTP among it.
var modest = map[string][]string{
	"internal/hotrestart": {"golang.org/x/sys/unix"},
}

// TestModestPackages keeps these as they are.
func TestModestPackages(t *testing.T) {
	for _, f := range readTree(t) {
		allowed, ok := modest[path.Dir(f.path)]
		if !ok || !f.isGo() || f.isTest() {
			continue
		}
		set, tree := f.parse(t, parser.ImportsOnly)
		for _, spec := range tree.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatalf("unquote import %s: %v", spec.Path.Value, err)
			}
			foreign := strings.Contains(name, ".") || strings.HasPrefix(name, "loom/") || strings.HasPrefix(name, "net/http")
			if foreign && !slices.Contains(allowed, name) {
				t.Errorf("%s: %s needs no %s: it hands over sockets and bytes, whatever they are for", set.Position(spec.Pos()), path.Dir(f.path), name)
			}
		}
	}
}

// ownPackage returns the folder of an imported package of this module.
func ownPackage(t *testing.T, quoted string) (string, bool) {
	t.Helper()
	name, err := strconv.Unquote(quoted)
	if err != nil {
		t.Fatalf("unquote import %s: %v", quoted, err)
	}
	return strings.CutPrefix(name, "loom/")
}

// forbidden returns why importer must not import imported, or nothing.
func forbidden(importer, imported string) string {
	from, to := place(importer), place(imported)
	if from < 0 || to < 0 {
		// TestHouseIsListed names the package that has no place.
		return ""
	}
	edge := house[from] + " -> " + house[to]
	for _, r := range rules {
		if r.from(house[from]) && r.to(house[to]) && from != to && !slices.Contains(r.except, edge) {
			return r.why
		}
	}
	if from > to {
		return "imports go down the list of the house, never up"
	}
	return ""
}

// place returns the index in house of the package or of the nearest folder
// above it, so that internal/x/y lives by the rules of internal/x.
func place(name string) int {
	for ; name != "."; name = path.Dir(name) {
		if at := slices.Index(house, name); at >= 0 {
			return at
		}
	}
	return -1
}

// TestHouseIsListed fails for a package that nobody gave a place.
func TestHouseIsListed(t *testing.T) {
	files := readTree(t)
	nested := moduleFolders(files)
	told := map[string]bool{}
	for _, f := range files {
		folder := path.Dir(f.path)
		if !f.isGo() || !inMainModule(f, nested) || told[folder] || folder == "." {
			continue
		}
		told[folder] = true
		if place(folder) < 0 {
			t.Errorf("%s has no place in the house: add it to the list in imports_test.go, above everything that it imports", folder)
		}
	}
}

// TestForbiddenEdges makes sure that the rules bite: each pair here is an
// import that a reader of the design would be surprised to find.
func TestForbiddenEdges(t *testing.T) {
	for _, edge := range [][2]string{
		{"internal/h2", "internal/callevent"},
		{"internal/route", "internal/config"},
		{"internal/capture", "internal/filter"},
		{"internal/relay", "internal/decode"},
		{"internal/relay", "internal/breaker"},
		{"internal/backend", "internal/config"},
		{"internal/backend", "internal/relay"},
		{"internal/backend", "internal/loomtest"},
		{"internal/admin", "internal/hotrestart"},
		{"internal/hotrestart", "internal/backend"},
		{"internal/hotrestart", "internal/loomtest"},
		{"internal/server", "cmd/loomd"},
		{"cmd/loomctl", "internal/config"},
		{"api/loom/v1", "internal/callevent"},
		{"internal/demo", "internal/server"},
	} {
		if forbidden(edge[0], edge[1]) == "" {
			t.Errorf("%s may import %s, but no design allows it", edge[0], edge[1])
		}
	}
	for _, edge := range [][2]string{
		{"cmd/loomd", "internal/config"},
		{"cmd/loomd", "internal/server"},
		{"cmd/loomctl", "internal/adminclient"},
		{"internal/server", "internal/hotrestart"},
		{"internal/admin", "internal/config"},
		{"internal/relay", "internal/h2"},
		{"internal/relay", "internal/callevent"},
		{"internal/capture", "internal/callevent"},
		{"internal/metrics", "internal/callevent"},
		{"internal/inspector", "api/loom/v1"},
		{"internal/h2/hpack", "internal/h2"},
	} {
		if why := forbidden(edge[0], edge[1]); why != "" {
			t.Errorf("%s must be free to import %s, but: %s", edge[0], edge[1], why)
		}
	}
}
