package server

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"loom/internal/config"
	"loom/internal/loomtest"
)

// checked loads a file as loomd does, and returns what it says of it.
func checked(t *testing.T, text string, strict bool) (warnings string, err error) {
	t.Helper()
	file := loomtest.Write(t, t.TempDir(), "loom.yaml", []byte(text))
	_, doubts, err := config.LoadWith(file, os.LookupEnv, func(c *config.Config) []config.Finding {
		return CheckFiles(c, time.Now(), strict)
	})
	return doubts.String(), err
}

// What is wrong with a file is shown where loom.yaml names it.
func TestFilesAreChecked(t *testing.T) {
	a := loomtest.NewAuthority(t, "test")
	folder := t.TempDir()
	cert, key := a.WritePair(folder, "good", loomtest.Named("a.test"))
	_, otherKey := a.WritePair(folder, "other", loomtest.Named("a.test"))
	old := loomtest.Named("a.test")
	old.NotAfter = time.Now().Add(-time.Hour)
	oldCert, oldKey := a.WritePair(folder, "old", old)
	ca := loomtest.Write(t, folder, "ca.crt", a.PEM)
	const frame = `listeners:
  - name: edge
    address: "127.0.0.1:0"
    tls: {cert_file: %q, key_file: %q, client_ca_file: %q, client_auth: require}
backends:
  b:
    targets: ["b.test:1"]
    tls: {ca_file: %q, cert_file: %q, key_file: %q}
routes: [{name: all, backend: b}]
`
	right := []any{cert, key, ca, ca, cert, key}
	for name, tt := range map[string]struct {
		at    int
		file  string
		also  string // the file after it
		place string
		want  string
	}{
		"right":                {at: 0, file: cert},
		"no certificate":       {at: 0, file: folder + "/none", place: ":4:22: ", want: "no such file"},
		"key of another":       {at: 1, file: otherKey, place: ":4:", want: "does not belong to the certificate"},
		"expired":              {at: 0, file: oldCert, also: oldKey, place: ":4:22: ", want: "the certificate expired on"},
		"no authority":         {at: 2, file: key, place: ":4:", want: "has no PEM block"},
		"no upstream CA":       {at: 3, file: folder + "/none", place: ":8:20: ", want: "no such file"},
		"upstream key":         {at: 5, file: otherKey, place: ":8:", want: "does not belong"},
		"upstream certificate": {at: 4, file: oldCert, also: oldKey, place: ":8:", want: "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			values := append([]any(nil), right...)
			values[tt.at] = tt.file
			if tt.also != "" {
				values[tt.at+1] = tt.also
			}
			text := fmt.Sprintf(frame, values...)
			_, err := checked(t, text, true)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), "loom.yaml"+tt.place) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %q at %s", err, tt.want, tt.place)
			}
			// loomd starts with what it can start with.
			warnings, err := checked(t, text, false)
			if expired := strings.Contains(tt.want, "expired"); (err == nil) != expired || strings.Contains(warnings, tt.want) != expired {
				t.Errorf("at the start: %v, warnings %q", err, warnings)
			}
		})
	}
}
