package backend_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/backend"
	"loom/internal/loomtest"
)

// What a backend knows of its endpoints, another one goes on with: also of
// endpoints that it learns of later.
func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		weights := map[string]int{"a": 1, "b": 1, "c": 1, "d": 1}
		f := newFleet(t, weights, outlier(50))
		f.become("late")
		f.fails("a", 5)
		time.Sleep(ejectFor)
		synctest.Wait()
		f.fails("a", 5)
		f.fails("late", 5)
		if err := f.backend.DrainEndpoint("b"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		record := f.backend.Snapshot()

		g := newRig(t, targets("passthrough:///a", "passthrough:///b", "passthrough:///c", "passthrough:///d", "names:///late of "+t.Name()), outlier(50))
		next := &fleet{rig: g, name: directory.find(t, "late of "+t.Name())}
		if err := g.backend.Restore(record, 0); err != nil {
			t.Fatal(err)
		}
		if e := next.endpoint("a"); e.State != backend.StateEjected || e.EjectedFor != 40*time.Second {
			t.Fatalf("%+v", e)
		}
		if e := next.endpoint("b"); e.State != backend.StateDrained {
			t.Fatalf("%+v", e)
		}
		if e := next.endpoint("c"); e.State != backend.StateIdle {
			t.Fatalf("%+v", e)
		}
		if again := g.backend.Snapshot(); !bytes.Equal(record, again) {
			t.Fatalf("%s\nbecame\n%s", record, again)
		}
		if err := next.name.resolveTo("late"); err != nil {
			t.Fatal(err)
		}
		if e := next.endpoint("late"); e.State != backend.StateEjected || e.EjectedFor != 10*time.Second {
			t.Fatalf("%+v", e)
		}
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if e := next.endpoint("a"); e.State != backend.StateIdle {
			t.Fatalf("%+v", e)
		}

		// One that ejects nobody.
		plain := &fleet{rig: newRig(t)}
		if err := plain.backend.Restore(record, 0); err != nil {
			t.Fatal(err)
		}
		if e := plain.endpoint("a"); e.State != backend.StateIdle {
			t.Fatalf("%+v", e)
		}
	})
}

// Failures in a row go on, ejections in a row are forgotten as before, and a
// fresh endpoint goes on to warm up; time that the way took counts.
func TestSnapshotHalfWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 10 * time.Minute
		f := newFleet(t, map[string]int{"a": 1, "b": 1, "c": 1}, outlier(50), slowStart(slow))
		time.Sleep(time.Minute)
		f.become("fresh")
		f.fails("b", 5)
		time.Sleep(ejectFor + ejectFor/2) // half of what lets its ejection be forgotten
		f.fails("a", 4)
		record := f.backend.Snapshot()

		heir := func(age time.Duration) *fleet {
			next := &fleet{rig: newRig(t, targets("passthrough:///a", "passthrough:///b", "passthrough:///c", "passthrough:///fresh"), outlier(50), slowStart(slow))}
			next.up, next.accepted = make(map[string]*loomtest.Upstream), make(map[string]int)
			next.connect("a", "b", "c", "fresh")
			if err := next.backend.Restore(record, age); err != nil {
				t.Fatal(err)
			}
			return next
		}
		next := heir(time.Minute)
		if got, want := next.endpoint("fresh").Warmth, f.endpoint("fresh").Warmth+0.1; math.Abs(got-want) > 0.001 || got > 0.9 {
			t.Errorf("the fresh endpoint takes %v of its share, want %v", got, want)
		}
		if e := next.endpoint("c"); e.Warmth != 1 {
			t.Errorf("%+v is not fresh", e)
		}
		if e := next.endpoint("a"); e.State != backend.StateReady {
			t.Fatalf("%+v", e)
		}
		next.fails("a", 1)
		if e := next.endpoint("a"); e.State != backend.StateEjected {
			t.Errorf("%+v after its fifth failure in a row", e)
		}
		for age, want := range map[time.Duration]time.Duration{ejectFor / 4: 2 * ejectFor, ejectFor: ejectFor} {
			late := heir(age)
			late.fails("b", 5)
			if e := late.endpoint("b"); e.EjectedFor != want {
				t.Errorf("ejected %v after the record: %+v, want %v", age, e, want)
			}
		}
	})
}

// What was counted in another process is added, also for endpoints that are
// not there yet, and is no reason to forget that one is drained.
func TestCountsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil, outlier(50))
		f.become("a", "b")
		if err := f.backend.DrainEndpoint("a"); err != nil {
			t.Fatal(err)
		}
		f.become("b", "c")
		f.fails("b", 5)
		f.backend.Add(backend.Totals{Ejections: 10, Falls: 20})
		f.backend.AddEndpoint("b", backend.EndpointTotals{Good: 100, Bad: 200, Ejections: 300})
		f.backend.AddEndpoint("late", backend.EndpointTotals{Good: 1, Bad: 2, Ejections: 3})
		f.backend.AddEndpoint("late", backend.EndpointTotals{Good: 1, Bad: 2, Ejections: 3})
		for i := range 5000 {
			f.backend.AddEndpoint(fmt.Sprint("gone ", i), backend.EndpointTotals{Good: 1})
		}
		if n := len(f.backend.Snapshot()); n > 1000 {
			t.Errorf("the snapshot has %d bytes", n)
		}
		if st := f.backend.Status(); st.Ejections != 11 || st.Falls != 20 {
			t.Errorf("%+v", st)
		}
		if e := f.endpoint("b"); e.Good < 100 || e.Bad != 205 || e.Ejections != 301 {
			t.Errorf("%+v", e)
		}
		f.backend.AddEndpoint("late", backend.EndpointTotals{Good: 1})
		if err := f.name.resolveTo("a", "b", "c", "late"); err != nil {
			t.Fatal(err)
		}
		if e := f.endpoint("a"); !e.Drained {
			t.Errorf("%+v is not drained any more", e)
		}
		if e := f.endpoint("late"); e.Good == 0 {
			t.Errorf("%+v", e)
		}
	})
}

// A snapshot that is not right changes nothing.
func TestWrongSnapshots(t *testing.T) {
	for record, want := range map[string]string{
		"":                               `backend "b": read the state of its endpoints: unexpected end of JSON input`,
		`{"version":2,"endpoints":[{"na`: `backend "b": read the state of its endpoints: unexpected end of JSON input`,
		`{"version":3,"endpoints":[{"name":"a","drained":true}]}`: `backend "b": the state of its endpoints has version 3, want 2`,
	} {
		f := &fleet{rig: newRig(t)}
		if err := f.backend.Restore([]byte(record), 0); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", record, err, want)
		}
		if e := f.endpoint("a"); e.State != backend.StateIdle {
			t.Errorf("%s: %+v", record, e)
		}
	}
}

// Whatever a record says, the backend stays within its own limits.
func FuzzRestore(f *testing.F) {
	f.Add([]byte(`{"version":2,"endpoints":[{"name":"a","drained":true,"ejected":30000000000,"ejections":2,"unhealthy":"why"}]}`))
	f.Add([]byte(`{"version":2,"endpoints":[{"name":"a","ejected":-1,"ejections":-5},{"name":"x","ejected":9223372036854775807,"ejections":9000000000}]}`))
	f.Fuzz(func(t *testing.T, record []byte) {
		r := &fleet{rig: newRig(t, outlier(100))}
		if r.backend.Restore(record, 0) != nil {
			return
		}
		if e := r.endpoint("a"); e.EjectedFor > 4*ejectFor || e.EjectedFor < 0 {
			t.Fatalf("%s: %+v", record, e)
		}
		if err := r.backend.Restore(r.backend.Snapshot(), 0); err != nil {
			t.Fatalf("%s: a snapshot of it: %v", record, err)
		}
	})
}
