package row

import (
	"strings"
	"testing"
)

func TestPick(t *testing.T) {
	got, err := Pick("20x1,1x100")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "1x100" || got[1].Name != "20x1" {
		t.Errorf("got %+v, want 1x100 and 20x1 in the order of the table", got)
	}
	if got, err := Pick(""); err != nil || len(got) != len(All()) {
		t.Errorf("an empty list picks %d rows, %v; want all", len(got), err)
	}
	if _, err := Pick("1x100,2x2"); err == nil || !strings.Contains(err.Error(), `"2x2"`) || !strings.Contains(err.Error(), "20x50") {
		t.Errorf("got %v, want the wrong name and the right ones", err)
	}
}
