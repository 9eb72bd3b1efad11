package filter

import (
	"math/rand/v2"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	loomv1 "loom/api/loom/v1"
)

// generator makes filters and rows that have something to do with each other.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 0))} }

func (g generator) pick(from ...string) string { return from[g.IntN(len(from))] }

var (
	paths = []string{
		"/acme.users.v1.Users/GetUser", "/acme.users.v1.Users/DeleteUser", "/acme.orders.v1.Orders/Watch", "/Chat/Talk", "/", "", "users",
		"/a.b/c/d", "//", "/Größe/İstanbul", "/a b/c(d),e", "/K.ſ/ß", "/x.😀/\"*\\",
	}
	texts = []string{"", "users", "Canary", "canary", "a b", "orders-1", "ORDERS", "é", "É", "10.0.0.7:50051"}
	peers = []string{"127.0.0.1:5", "[::1]:5", "::1", "@", "", ":5", "[::1", "[]", "[fe80::1%lo]:7", "host:1:2", "/run/x.sock"}
)

func (g generator) number() uint64 {
	small := g.Uint64N(30)
	return []uint64{0, small, small * 1000, 50_000, 65_536, 1_500_000, 1 << 40, 1<<53 + 1, 1 << 62}[g.IntN(9)]
}

func (g generator) row(i int) row {
	s := &loomv1.CallSummary{
		Id: "1-" + strconv.Itoa(i), At: 1_795_000_000_000_000 + g.Int64N(3*86_400_000_000), Path: g.pick(paths...), Route: g.pick(texts...),
		Backend: g.pick(texts...), Endpoint: g.pick(texts...), Peer: g.pick(peers...), Kind: loomv1.StreamKind(g.IntN(5)),
		State: loomv1.CallState(g.IntN(3)), By: loomv1.Ender(g.IntN(9)), Reason: g.pick("", "NO_ROUTE", "CIRCUIT_OPEN"),
		Took: int64(g.number()), Up: g.number(), Down: g.number(), UpBytes: g.number(), DownBytes: g.number(),
		ReplayOf: g.pick("", "", "1-1"), Cut: g.IntN(3) == 0, Drift: g.IntN(3) == 0, Trace: g.pick("", "4bf92f3577b34da6a3ce929d0e0e4736"),
	}
	if g.IntN(3) > 0 {
		s.Code = new(uint32(g.IntN(19)))
	}
	call, err := protojson.Marshal(s)
	if err != nil {
		panic(err)
	}
	r := row{Name: s.GetId(), Call: call, Pinned: g.IntN(2) == 0}
	if g.IntN(2) == 0 {
		r.Metadata = map[string][]string{"x-a": {g.pick(texts...), g.pick(texts...)}, "b": {g.pick(texts...)}}
	}
	if g.IntN(2) == 0 {
		r.Body = `{"name":"` + g.pick(texts...) + `"}`
	}
	return r
}

func (g generator) filter() string { return g.either(2) }

func (g generator) either(depth int) string {
	var parts []string
	for range 1 + g.IntN(2)*g.IntN(2) {
		var together []string
		for range 1 + g.IntN(3) {
			together = append(together, g.one(depth))
		}
		parts = append(parts, strings.Join(together, g.pick(" ", " ", "  ", "\t", "\n")))
	}
	return g.broken(strings.Join(parts, " OR "))
}

// broken sometimes takes out, doubles or puts in a character.
func (g generator) broken(text string) string {
	if text == "" || g.IntN(12) > 0 {
		return text
	}
	letters := []rune(text)
	at := g.IntN(len(letters))
	extra := []rune(g.pick("", "", string(letters[at])+string(letters[at]), "(", ")", `"`, "-", ",", " ", "*", "é", "😀", ":", `\`))
	return string(letters[:at]) + string(extra) + string(letters[at+1:])
}

func (g generator) one(depth int) string {
	minus := g.pick("", "", "-")
	if depth > 0 && g.IntN(5) == 0 {
		return minus + "(" + g.either(depth-1) + ")"
	}
	return minus + g.term()
}

func (g generator) term() string {
	key := g.pick(append(keys, "", "", "backend", "ender", "MD.X-A", "md.b", "Status")...)
	if g.IntN(60) == 0 {
		key = g.pick("metod", "latency>", "md.", "foo")
	}
	if key == metadataKey {
		key = "md.x-a"
	}
	var values []string
	for range 1 + g.IntN(2)*g.IntN(3) {
		values = append(values, g.value(strings.ToLower(key)))
	}
	if key != "" {
		key += ":"
	}
	return key + strings.Join(values, ",")
}

func (g generator) value(key string) string {
	switch key {
	case "status", "kind", "by", "ender", "is":
		if key == "ender" {
			key = "by"
		}
		choices := named[key].choices
		name := choices[g.IntN(len(choices))].name
		return g.pick(name, name, strings.ToLower(name), squeeze(name), strings.ReplaceAll(name, "_", "-"), name, name, name, g.pick("14", "99", "BD", "CANCELED", "U", "cs"))
	case "latency", "size", "msgs":
		return g.comparison(g.pick("us", "ms", "s", "m", "h", "µs"), key)
	case "time":
		return g.pick("", ">", "<", ">=", "<=", "=", "=", "02:00..") + g.pick("14:0", "2026-11-18T07:08", "2026-11-18", "2026-11-19T23:59:59.5", "14:02", "23:59:59", "09:30:00.000001", "04:00", "12:30", "20:15:30")
	case "peer":
		return g.text(g.pick(peers...))
	}
	return g.text(g.pick(append(append([]string{"Get*", "acme.*", "*e*", "NO_ROUTE", "4bf9*", "name", "or"}, texts...), paths...)...))
}

func (g generator) comparison(unit, key string) string {
	if key != "latency" {
		unit = g.pick("", "", "k", "M", "kib", "GB", "b")
	}
	if g.IntN(20) == 0 {
		unit = g.pick("d", ".", "", "..", "ſ")
	}
	number := func() string {
		return g.pick("0", "1", "12", "50", "1.5", "0.05", "64", "65.536", "1024", "30000", "999999999999999", "007") + unit
	}
	if g.IntN(4) == 0 {
		return number() + ".." + number()
	}
	return g.pick("", ">", "<", ">=", "<=", "=") + number()
}

// text writes a text as a person might: with a star, in capitals, quoted.
func (g generator) text(of string) string {
	letters := []rune(of)
	if n := len(letters); n > 1 && g.IntN(3) == 0 {
		of = string(letters[:n/2]) + g.pick("*", "**", `"*"`) + g.pick("", string(letters[n/2+1:]))
	}
	if g.IntN(4) == 0 {
		of = strings.ToUpper(of)
	}
	if of == "" || strings.ContainsAny(of, stops+`"`) && g.IntN(20) > 0 || g.IntN(5) == 0 {
		return `"` + escapes.Replace(of) + `"`
	}
	return of
}
