package config

import (
	"strings"
	"testing"
)

// TestShow wants all settings of a file, and none of its secrets.
func TestShow(t *testing.T) {
	cfg, _, err := Parse("loom.yaml", []byte(`
listeners: [{name: plain, address: "127.0.0.1:9999"}]
backends:
  auth: {targets: ["auth.internal:9000"], reflection: {metadata: {authorization: "Bearer s3cret", x-any: s3cret}}}
routes:
  - {name: rest, backend: auth, metadata: {request: {set: {authorization: s3cret, x-tier: gold}}}}
`), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	text := Show(cfg)
	if strings.Contains(text, "s3cret") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	for _, line := range []string{
		"listeners.plain.address: 127.0.0.1:9999",
		"backends.auth.targets: [{target: auth.internal:9000, weight: 1}]", // the name of a backend makes nothing of it secret
		"backends.auth.reflection.metadata.authorization: (secret)",
		"routes.rest.backend: auth",
		"routes.rest.metadata.request.set.authorization: (secret)",
		"routes.rest.metadata.request.set.x-tier: gold",
		"capture.mode: full",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%q is missing in\n%s", line, text)
		}
	}
}
