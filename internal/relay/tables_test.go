package relay_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"loom/internal/loomtest"
	"loom/internal/route"
)

// use puts other routes in force, and returns what tells that nothing needs the
// old ones any more.
func (r *rig) use(routes ...route.Rule) (quiet <-chan struct{}) {
	r.t.Helper()
	next, err := r.relay.Prepare(r.rules(routes...))
	if err != nil {
		r.t.Fatal(err)
	}
	before := r.relay.Use(next)
	return r.relay.Quiet(before, before)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

var denied = route.Rule{Name: "all", Deny: uint32(codes.PermissionDenied)}

// A call keeps to its end the rules that were in force when it began, its
// second tries among them; those that begin later have the new ones.
func TestCallsKeepTheirRules(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller()
		id := down.Unary(method, []byte("question"))
		up := r.ups.Accept()
		upID := wantQuestion(t, up)
		quiet := r.use(denied)
		if got := r.relay.OpenCalls(); got != 1 {
			t.Errorf("%d calls are open, want the one of the old rules", got)
		}
		fails(up, upID)
		upID = wantQuestion(t, up) // once more, as the old rules have it
		later := down.Unary(method, []byte("later"))
		down.WantStatus(later, codes.PermissionDenied)
		if isClosed(quiet) {
			t.Error("the old rules are quiet while a call of theirs is open")
		}
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
		synctest.Wait()
		if !isClosed(quiet) {
			t.Error("the old rules are not quiet though their last call has ended")
		}
	}, withRetry())
}

// Rules with which no call is open are quiet at once.
func TestQuietAtOnce(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		if quiet := r.use(denied); !isClosed(quiet) {
			t.Error("rules that no call began with are not quiet")
		}
		if quiet := r.use(r.opts.rules...); !isClosed(quiet) {
			t.Error("nor are the next ones")
		}
	})
}

// Who waits for some of the rules does not wait for calls of others.
func TestQuietOfSome(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller()
		id := down.Unary(method, []byte("question"))
		up := r.ups.Accept()
		upID := wantQuestion(t, up)
		first := r.relay.Tables()
		r.use(r.opts.rules...)
		second := r.relay.Tables()
		r.use(r.opts.rules...)
		third := r.relay.Tables()
		r.use(denied)
		if !isClosed(r.relay.Quiet(second, third)) {
			t.Error("the later rules wait for a call of the first ones")
		}
		all := r.relay.Quiet(first, third)
		if isClosed(all) {
			t.Error("all rules are quiet while a call is open")
		}
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
		synctest.Wait()
		if !isClosed(all) {
			t.Error("not all rules are quiet though the last call has ended")
		}
	})
}

// A copy that outlives its call keeps the rules too.
func TestCopiesKeepRules(t *testing.T) {
	mirrored(t, func(t *testing.T, r *rig, _ *scriptedBreaker) {
		down := r.caller()
		id := down.Unary(method, []byte("question"))
		up, other := r.ups.Accept(), r.copies()
		upID := wantQuestion(t, up)
		copyID := wantQuestion(t, other)
		quiet := r.use(denied)
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
		synctest.Wait()
		if isClosed(quiet) {
			t.Error("the rules are quiet while a copy is under way")
		}
		other.Reply(copyID, []byte("answer"))
		synctest.Wait()
		if !isClosed(quiet) {
			t.Error("the rules are not quiet though the copy has ended")
		}
	})
}

// Who changes the rules again and again does not get the route another retry
// budget each time.
func TestBudgetGoesOn(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller()
		var up *loomtest.Upstream
		for i := range 20 {
			id := down.Unary(method, []byte("question"))
			if up == nil {
				up = r.ups.Accept()
			}
			fails(up, wantQuestion(t, up))
			if i < 10 { // so many may be tried again, however few calls there are
				up.Reply(wantQuestion(t, up), []byte("answer"))
				wantReply(t, down, id, "answer")
			} else {
				down.WantStatus(id, codes.Unavailable)
			}
			r.use(r.opts.rules...)
		}
		wantCounter(t, "RetriesOverBudget", &r.calls.RetriesOverBudget, 10)
	}, withRetry(func(p *route.Retry) { p.Max, p.Initial = time.Millisecond, time.Millisecond }))
}

// Rules that speak of a backend which is not there are not made.
func TestPrepareRefuses(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		_, err := r.relay.Prepare(r.rules(route.Rule{Name: "x", Backends: []route.Weighted{{Name: "nobody", Weight: 1}}}))
		if err == nil || err.Error() != `route "x": no backend "nobody"` {
			t.Errorf("got %v", err)
		}
	})
}

// While rules are replaced as fast as can be, no call is open under rules that
// are quiet, and all end.
func TestRulesReplacedUnderLoad(t *testing.T) {
	r := newRig(t, func(o *rigOptions) {
		o.tcp = true
		o.rules = []route.Rule{denied}
	})
	const callers, calls = 4, 300
	var done sync.WaitGroup
	for range callers {
		down := r.caller()
		done.Go(func() {
			for range calls {
				down.WantStatus(down.Unary(method, []byte("question")), codes.PermissionDenied)
			}
		})
	}
	stop := make(chan struct{})
	var replacing sync.WaitGroup
	replacing.Go(func() {
		for !isClosed(stop) {
			var all []<-chan struct{}
			for range 50 {
				all = append(all, r.use(denied))
			}
			for _, quiet := range all {
				select {
				case <-quiet:
				case <-time.After(10 * time.Second):
					t.Error("rules are not quiet after 10 s")
				}
			}
		}
	})
	done.Wait()
	close(stop)
	replacing.Wait()
	if got := r.relay.Calls(); got != callers*calls {
		t.Errorf("%d calls, want %d", got, callers*calls)
	}
}
