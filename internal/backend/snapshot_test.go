package backend_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/backend"
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
		if err := g.backend.Restore(record); err != nil {
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
		if err := plain.backend.Restore(record); err != nil {
			t.Fatal(err)
		}
		if e := plain.endpoint("a"); e.State != backend.StateIdle {
			t.Fatalf("%+v", e)
		}
	})
}

// A snapshot that is not right changes nothing.
func TestWrongSnapshots(t *testing.T) {
	for record, want := range map[string]string{
		"":                               `backend "b": read the state of its endpoints: unexpected end of JSON input`,
		`{"version":1,"endpoints":[{"na`: `backend "b": read the state of its endpoints: unexpected end of JSON input`,
		`{"version":2,"endpoints":[{"name":"a","drained":true}]}`: `backend "b": the state of its endpoints has version 2, want 1`,
	} {
		f := &fleet{rig: newRig(t)}
		if err := f.backend.Restore([]byte(record)); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", record, err, want)
		}
		if e := f.endpoint("a"); e.State != backend.StateIdle {
			t.Errorf("%s: %+v", record, e)
		}
	}
}

// Whatever a record says, the backend stays within its own limits.
func FuzzRestore(f *testing.F) {
	f.Add([]byte(`{"version":1,"endpoints":[{"name":"a","drained":true,"ejected":30000000000,"ejections":2,"unhealthy":"why"}]}`))
	f.Add([]byte(`{"version":1,"endpoints":[{"name":"a","ejected":-1,"ejections":-5},{"name":"x","ejected":9223372036854775807,"ejections":9000000000}]}`))
	f.Fuzz(func(t *testing.T, record []byte) {
		r := &fleet{rig: newRig(t, outlier(100))}
		if r.backend.Restore(record) != nil {
			return
		}
		if e := r.endpoint("a"); e.EjectedFor > 4*ejectFor || e.EjectedFor < 0 {
			t.Fatalf("%s: %+v", record, e)
		}
		if err := r.backend.Restore(r.backend.Snapshot()); err != nil {
			t.Fatalf("%s: a snapshot of it: %v", record, err)
		}
	})
}
