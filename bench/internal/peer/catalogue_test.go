package peer

import (
	"slices"
	"strings"
	"testing"
)

func TestPick(t *testing.T) {
	got, err := Pick("haproxy,tcp")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{TCP, HAProxy}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, err := Pick(""); err != nil || !slices.Equal(got, Names()) {
		t.Errorf("an empty list picks %v, %v; want all", got, err)
	}
	if _, err := Pick("envoy"); err == nil || !strings.Contains(err.Error(), `"envoy"`) {
		t.Errorf("got %v, want the wrong name", err)
	}
}

func TestEveryPeerHasARecipeAndAPortOfItsOwn(t *testing.T) {
	ports := map[int]string{backendPort: "the backend", secureBackendPort: "the backend over TLS"}
	for _, name := range Names() {
		r, ok := recipes()[name]
		if ok == (name == Direct) {
			t.Errorf("%s: has a recipe: %v", name, ok)
		}
		if !ok {
			continue
		}
		if other, taken := ports[r.port]; taken {
			t.Errorf("%s has the port of %s", name, other)
		}
		ports[r.port] = name
	}
}
