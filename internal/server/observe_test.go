package server

import (
	"testing"

	"loom/internal/callevent"
)

type noted struct{ paths []string }

func (n *noted) Ended(s *callevent.Summary) { n.paths = append(n.paths, s.Path) }

type fakeRecorder struct{ began []string }

func (r *fakeRecorder) Begin(c callevent.Call) callevent.Follower {
	r.began = append(r.began, c.Path)
	return nil
}

// TestObserve tells all who want to know of calls.
func TestObserve(t *testing.T) {
	if o := observe(nil, nil); o != nil {
		t.Errorf("nobody wants to know, and the relay has %v to tell", o)
	}
	one, two, r := new(noted), new(noted), new(fakeRecorder)
	for name, test := range map[string]struct {
		recorder recorder
		began    int
	}{"counted alone": {nil, 0}, "recorded too": {r, 1}} {
		t.Run(name, func(t *testing.T) {
			*one, *two, *r = noted{}, noted{}, fakeRecorder{}
			o := observe(test.recorder, []Ended{one, two})
			if f := o.Begin(callevent.Call{Path: "/a/B"}); f != nil {
				t.Errorf("the call is followed by %v", f)
			}
			o.Ended(&callevent.Summary{Path: "/a/B"})
			if len(one.paths) != 1 || len(two.paths) != 1 || len(r.began) != test.began {
				t.Errorf("told %v and %v, recorded %v", one.paths, two.paths, r.began)
			}
		})
	}
}
