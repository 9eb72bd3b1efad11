package backend_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/backend"
)

// An endpoint that is drained takes no new calls, also when it goes and comes
// again; those that it has go on.
func TestDrainEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		f := newFleet(t, map[string]int{"a": 1}, j.keep)
		f.become("b")
		var open *visitor
		for open == nil || open.at() != "b" {
			open = f.stay(backend.Pick{})
		}
		if err := f.backend.DrainEndpoint("b"); err != nil {
			t.Fatal(err)
		}
		if e := f.endpoint("b"); e.State != backend.StateDraining || e.InFlight != 1 || e.Connections != 1 {
			t.Fatalf("%+v", e)
		}
		open.end(backend.Good)
		if e := f.endpoint("b"); e.State != backend.StateDrained {
			t.Fatalf("%+v", e)
		}
		wantShares(t, f.share(100), map[string]float64{"a": 1}, 0, 0)

		f.become("c")
		if err := f.name.resolveTo("b", "c"); err != nil {
			t.Fatal(err)
		}
		wantShares(t, f.share(100), map[string]float64{"a": 1, "c": 1}, 1, 0)
		if err := f.backend.UndrainEndpoint("b"); err != nil {
			t.Fatal(err)
		}
		f.connect("b")
		wantShares(t, f.share(99), map[string]float64{"a": 1, "b": 1, "c": 1}, 1, 0)
		j.want(t, "drained b", "undrained b")

		if err := f.backend.DrainEndpoint("d"); err == nil || err.Error() != `backend "b" has no endpoint "d"` {
			t.Fatalf("error %v", err)
		}
	})
}

// When the last endpoint is drained, calls hear so, and those that wait, too.
func TestDrainTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.listener("a").SetDialHook(hang)
		waits := r.call("waits")
		if err := r.backend.DrainEndpoint("a"); err != nil {
			t.Fatal(err)
		}
		waits.want(t, "refused: "+backend.ErrDrained.Error())
		r.call("c").want(t, "refused: "+backend.ErrDrained.Error())
		if r.backend.Status().Panic {
			t.Fatal("what an operator has drained is used in panic")
		}
	})
}

// A name that cannot be resolved any more is shown as stale, since when and
// why, and no longer when it can be again.
func TestStaleNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, map[string]int{"a": 1})
		f.become("b")
		stale := func() string {
			var all []string
			for _, s := range f.backend.Status().Stale {
				all = append(all, time.Since(s.Since).String()+": "+s.Why)
			}
			return strings.Join(all, ", ")
		}
		if s := stale(); s != "" {
			t.Fatalf("stale: %s", s)
		}
		if f.name.resolveTo() == nil {
			t.Fatal("an empty answer was taken")
		}
		time.Sleep(time.Minute)
		uri := "names:///more of " + t.Name()
		if s, want := stale(), "1m0s: resolve "+uri+": it has no address"; s != want {
			t.Fatalf("stale: %s, want %s", s, want)
		}
		f.name.cc.ReportError(strError("i/o timeout"))
		if s, want := stale(), "1m0s: resolve "+uri+": i/o timeout"; s != want {
			t.Fatalf("stale: %s, want %s", s, want)
		}
		wantShares(t, f.share(100), map[string]float64{"a": 1, "b": 1}, 1, 0)
		f.become("b")
		if s := stale(); s != "" {
			t.Fatalf("stale: %s", s)
		}
	})
}

type strError string

func (e strError) Error() string { return string(e) }

// Who is told of events and takes long loses some, and holds up nothing.
func TestSlowListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told, held := 0, make(chan struct{})
		r := newRig(t, func(o *backend.Options) {
			o.Event = func(backend.Event) {
				<-held
				told++
			}
		})
		const changes = 1000
		for i := range changes {
			change := r.backend.DrainEndpoint
			if i%2 == 1 {
				change = r.backend.UndrainEndpoint
			}
			if err := change("a"); err != nil {
				t.Fatal(err)
			}
		}
		close(held)
		synctest.Wait()
		dropped := int(r.counters.EventsDropped.Load())
		if dropped == 0 || told+dropped != changes {
			t.Fatalf("%d events were told and %d dropped, of %d", told, dropped, changes)
		}
	})
}
