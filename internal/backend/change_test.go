package backend_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/backend"
	"loom/internal/h2"
)

// change puts other options in force.
func (r *rig) change(change ...func(*backend.Options)) {
	r.t.Helper()
	o := r.opts
	for _, f := range change {
		f(&o)
	}
	c, err := r.backend.Prepare(r.t.Context(), o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.opts = o
	b := h2.NewBatch()
	c.Commit(b)
	b.Flush()
}

// Targets come and go: the endpoint that stays keeps its connection, that which
// goes drains, and the call on it goes on to its end.
func TestChangeTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newFleet(t, map[string]int{"a": 1, "z": 1})
		calls := map[string]*call{}
		ids := map[string]uint32{}
		for len(calls) < 2 {
			c := r.call("call")
			synctest.Wait()
			if at := c.placedAt(); calls[at] == nil {
				calls[at], ids[at] = c, wantCall(t, r.up[at], "call")
			}
		}
		r.change(targets("passthrough:///a", "passthrough:///b"))
		for at, c := range calls {
			c.want(t, "placed")
			r.up[at].TrailersOnly(ids[at], 0)
			c.want(t, "replied")
		}
		r.up["z"].WantClosed()
		for range 20 {
			r.call("later")
		}
		r.accept("b")
		synctest.Wait()
		if r.dialled("a") != 1 || r.dialled("z") != 1 || r.dialled("b") != 1 {
			t.Errorf("%d, %d and %d connections to a, z and b; want one each", r.dialled("a"), r.dialled("z"), r.dialled("b"))
		}
		if got := endpointNames(r.backend.Status().Endpoints); got != "a b" {
			t.Errorf("endpoints %s", got)
		}
	})
}

func endpointNames(all []backend.EndpointStatus) string {
	var out []string
	for i := range all {
		out = append(out, all[i].Address)
	}
	return strings.Join(out, " ")
}

// Calls that wait for a target which goes get their place at the one that comes.
func TestChangeTargetsOfWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.listener("a").SetDialHook(hang)
		waits := r.call("waits")
		waits.want(t, "waits")
		r.change(targets("passthrough:///b"))
		wantCall(t, r.accept("b"), "waits")
		waits.want(t, "placed")
		if got := waits.placedAt(); got != "b" {
			t.Errorf("it is at %s", got)
		}
	})
}

// A target that is wrong changes nothing, and nothing is left of those that
// were right.
func TestChangeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for _, wrong := range []string{"names:///broken", "what is this"} {
			o := r.opts
			targets("names:///good of "+t.Name(), wrong)(&o)
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			if _, err := r.backend.Prepare(ctx, o); err == nil || !strings.Contains(err.Error(), `backend "b": `) {
				t.Errorf("%s: error %v", wrong, err)
			}
			stop()
			if n := directory.find(t, "good of "+t.Name()); n.closed != 1 {
				t.Errorf("the other target was closed %d times", n.closed)
			}
		}
		if got := endpointNames(r.backend.Status().Endpoints); got != "a" {
			t.Errorf("endpoints %s", got)
		}
	})
}

// A name is resolved before it is used: who calls meanwhile has the endpoints of
// before.
func TestChangeIsResolvedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		name := "slow of " + t.Name()
		o := r.opts
		targets("names:///" + name)(&o)
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		ready := make(chan *backend.Change, 1)
		go func() {
			c, err := r.backend.Prepare(ctx, o)
			if err != nil {
				t.Error(err)
			}
			ready <- c
		}()
		synctest.Wait()
		if got := endpointNames(r.backend.Status().Endpoints); got != "a" {
			t.Errorf("endpoints %s before it is in force", got)
		}
		if err := directory.find(t, name).resolveTo("b", "c"); err != nil {
			t.Fatal(err)
		}
		c := <-ready
		if got := endpointNames(r.backend.Status().Endpoints); got != "a" {
			t.Errorf("endpoints %s before it is in force", got)
		}
		b := h2.NewBatch()
		c.Commit(b)
		b.Flush()
		if got := endpointNames(r.backend.Status().Endpoints); got != "b c" {
			t.Errorf("endpoints %s", got)
		}
	})
}

// Weights change without a word to anybody.
func TestChangeWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, map[string]int{"a": 1, "b": 1})
		f.change(func(o *backend.Options) {
			o.Targets = append([]backend.Target(nil), o.Targets...)
			for i := range o.Targets {
				if strings.HasSuffix(o.Targets[i].URI, "/a") {
					o.Targets[i].Weight = 3
				}
			}
		})
		wantShares(t, f.share(400), map[string]float64{"a": 3, "b": 1}, 2, 0)
		for _, address := range []string{"a", "b"} {
			if n := f.dialled(address); n != 1 {
				t.Errorf("%d connections to %s", n, address)
			}
		}
	})
}

// The balance changes, with the key that calls go by.
func TestChangeBalance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, map[string]int{"a": 1, "b": 1})
		if got := f.backend.HashMetadata(); got != "" {
			t.Errorf("calls go by %q", got)
		}
		f.change(func(o *backend.Options) { o.Balance, o.HashMetadata = backend.RingHash, "x-user" })
		if got := f.backend.HashMetadata(); got != "x-user" {
			t.Errorf("calls go by %q", got)
		}
		first := f.visit(backend.Pick{Hash: 7, Hashed: true})
		for range 10 {
			if got := f.visit(backend.Pick{Hash: 7, Hashed: true}); got != first {
				t.Fatalf("the key went to %s and to %s", first, got)
			}
		}
		f.change(func(o *backend.Options) { o.Balance, o.HashMetadata = backend.RoundRobin, "" })
		if first, second := f.visit(backend.Pick{Hash: 7, Hashed: true}), f.visit(backend.Pick{Hash: 7, Hashed: true}); first == second {
			t.Errorf("both calls went to %s, want them dealt out in turn", first)
		}
	})
}

func idleTimeout(d time.Duration) func(*backend.Options) {
	return func(o *backend.Options) {
		other := *o.H2
		other.IdleTimeout = d
		o.H2 = &other
	}
}

// Connections that are kept alive in another way are replaced; calls on the old
// ones go on.
func TestChangeConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		old, open := r.warm()
		r.change(pending(7)) // changes nothing about them
		r.call("same")
		wantCall(t, old, "same")
		r.change(idleTimeout(time.Minute))
		r.call("later")
		wantCall(t, r.accept("a"), "later")
		open.want(t, "placed")
		old.TrailersOnly(1, 0)
		open.want(t, "replied")
		old.TrailersOnly(3, 0)
		old.WantClosed()
	})
}

// A connection that is being made by the options of before is not used.
func TestChangeWhileDialling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		hold := make(chan struct{})
		r.listener("a").SetDialHook(func(context.Context) error {
			<-hold
			return nil
		})
		waits := r.call("waits")
		synctest.Wait()
		r.change(idleTimeout(time.Minute))
		close(hold)
		r.accept("a").WantClosed()
		wantCall(t, r.accept("a"), "waits")
		waits.want(t, "placed")
	})
}

// Bounds change for the calls that come.
func TestChangeBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, open := r.warm()
		r.change(func(o *backend.Options) { o.Concurrent = 1 })
		r.call("too many").want(t, "refused: "+backend.ErrConcurrent.Error())
		r.change(func(o *backend.Options) { o.Concurrent = 0 })
		r.call("any number").want(t, "placed")
		open.want(t, "placed")
	})
}

// Ejections end when nobody ejects any more, and begin when somebody does.
func TestChangeOutlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *backend.Options) {
			o.Outlier = &backend.Outlier{Consecutive: 1, EjectFor: time.Hour, MaxEjectedPercent: 100}
		})
		_, c := r.warm()
		c.placedEndpoint().Done(time.Now(), backend.Bad)
		if e := r.backend.Status().Endpoints[0]; e.State != backend.StateEjected {
			t.Fatalf("it is %s", e.State)
		}
		r.change(func(o *backend.Options) { o.Outlier = nil })
		if e := r.backend.Status().Endpoints[0]; e.State != backend.StateReady || e.Ejections != 1 {
			t.Errorf("it is %s after %d ejections", e.State, e.Ejections)
		}
		c.placedEndpoint().Done(time.Now(), backend.Bad)
		if e := r.backend.Status().Endpoints[0]; e.State != backend.StateReady {
			t.Errorf("it is %s", e.State)
		}
	})
}

// Health is asked for from the moment that it is wanted until it is not.
func TestChangeHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, healthy)
		state := func(is backend.Health) {
			t.Helper()
			synctest.Wait()
			if e := w.endpoint("b"); e.Health != is {
				t.Fatalf("it is %q, want %q", e.Health, is)
			}
		}
		state(backend.HealthGood)
		w.change(func(o *backend.Options) {
			other := *o.Health
			other.Service = "other"
			o.Health = &other
		})
		state(backend.HealthGood)
		w.b.becomes(notServing)
		state(backend.HealthBad)
		if asked := w.b.asked; asked[len(asked)-1] != "other" {
			t.Errorf("it was asked for %q", asked)
		}
		w.change(func(o *backend.Options) { o.Health = nil })
		state(backend.HealthUnchecked)
		w.change(func(o *backend.Options) {
			o.Health = &backend.HealthCheck{Interval: checkEvery, Timeout: time.Second, Fall: 1, Rise: 1}
		})
		state(backend.HealthBad)
	})
}

// A backend out of use keeps serving who knows it, and holds nothing beyond.
func TestRetire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		up, open := r.warm()
		b := h2.NewBatch()
		r.backend.Retire(b)
		b.Flush()
		open.want(t, "placed")
		up.TrailersOnly(1, 0)
		open.want(t, "replied")
		up.WantClosed()
		again := r.call("second try")
		wantCall(t, r.accept("a"), "second try")
		again.want(t, "placed")
	})
}
