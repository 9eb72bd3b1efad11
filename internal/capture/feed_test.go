package capture

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	loomv1 "loom/api/loom/v1"
	"loom/internal/callevent"
)

func subscribe(t testing.TB, s *Store, since uint64) *Subscription {
	t.Helper()
	sub, err := s.Subscribe(since)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Close)
	return sub
}

// next returns the next batch, and false if none comes within a second.
func next(t *testing.T, sub *Subscription) (Batch, bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	b, err := sub.Next(ctx)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	return b, err == nil
}

func TestSubscriberSeesStartEachMessageAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestStore(t, small())
		sub := subscribe(t, s, 0)
		var f callevent.Follower
		for i, step := range []struct {
			do    func()
			up    uint64
			state loomv1.CallState
		}{
			{func() { f = routed(s, 1, "all") }, 0, loomv1.CallState_CALL_STATE_OPEN},
			{func() { send(f, callevent.Up, []byte("a")) }, 1, loomv1.CallState_CALL_STATE_OPEN},
			{func() { send(f, callevent.Up, []byte("b")) }, 2, loomv1.CallState_CALL_STATE_OPEN},
			{func() { end(f) }, 2, loomv1.CallState_CALL_STATE_ENDED},
		} {
			before := time.Now()
			step.do()
			b, ok := next(t, sub)
			if !ok || len(b.Calls) != 1 || b.Calls[0].GetUp() != step.up || b.Calls[0].GetState() != step.state || b.Missed != 0 {
				t.Fatalf("step %d told of %+v", i, b)
			}
			if took := time.Since(before); took > feedInterval {
				t.Errorf("step %d was told after %v", i, took)
			}
		}
		if b, ok := next(t, sub); ok {
			t.Errorf("more was told: %+v", b)
		}
	})
}

func TestSubscriberHearsTwentyTimesASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestStore(t, small())
		sub := subscribe(t, s, 0)
		f := routed(s, 1, "all")
		batches, last := 0, uint64(0)
		for range 1000 {
			send(f, callevent.Up, []byte("a"))
			time.Sleep(time.Millisecond)
			synctest.Wait()
			for len(sub.batches) > 0 {
				b, _ := next(t, sub)
				batches++
				last = b.Calls[0].GetUp()
			}
		}
		if batches < 18 || batches > 21 || last < 900 {
			t.Errorf("a thousand messages in a second were told in %d batches, the last with message %d", batches, last)
		}
		end(f)
	})
}

func TestSlowSubscriberLosesTheOldestAndIsToldHowMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := small()
		o.Calls = 1000
		s := newTestStore(t, o)
		slow, quick := subscribe(t, s, 0), subscribe(t, s, 0)
		const rounds = subscriptionQueue + 36
		for i := range uint64(rounds) {
			end(routed(s, i+1, "all"))
			if b, ok := next(t, quick); !ok || len(b.Calls) != 1 || b.Missed != 0 {
				t.Fatalf("who is quick was told of %+v", b)
			}
		}
		b, _ := next(t, slow)
		if b.Missed != 36 || b.Calls[0].GetId() != "7-37" {
			t.Errorf("the first batch misses %d and begins with %s", b.Missed, b.Calls[0].GetId())
		}
		if st := s.Stats(); st.Unshown != 36 {
			t.Errorf("%d changes count as not shown", st.Unshown)
		}
	})
}

func TestMoreCallsThanAnybodyReadsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := small()
		o.Calls = 2000
		s := newTestStore(t, o)
		sub := subscribe(t, s, 0)
		end(routed(s, 1, "all"))
		synctest.Wait()
		for i := range uint64(1000) {
			end(routed(s, i+2, "all"))
		}
		told, missed := 0, uint64(0)
		for {
			b, ok := next(t, sub)
			if !ok {
				break
			}
			told += len(b.Calls)
			missed += b.Missed
		}
		if told != 1+feedCalls || missed == 0 || s.Stats().Unshown != missed {
			t.Errorf("told of %d, missed %d, counted %d", told, missed, s.Stats().Unshown)
		}
	})
}

func TestReconnectGivesExactlyWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestStore(t, small())
		ids := func(b Batch) string {
			var out strings.Builder
			for _, c := range b.Calls {
				out.WriteString(c.GetId() + " ")
			}
			return out.String()
		}
		start := s.Cursor() // of a page that loads the list before it watches
		one := routed(s, 1, "all")
		end(routed(s, 2, "all"))
		sub := subscribe(t, s, start)
		b, _ := next(t, sub)
		if ids(b) != "7-1 7-2 " {
			t.Fatalf("what came between list and watching is %q", ids(b))
		}
		sub.Close()
		again := subscribe(t, s, b.Cursor)
		if b, _ := next(t, again); ids(b) != "" {
			t.Fatalf("nothing changed, and it tells of %q", ids(b))
		}
		again.Close()
		send(one, callevent.Up, []byte("a"))
		end(routed(s, 3, "all"))
		third := subscribe(t, s, b.Cursor)
		b, _ = next(t, third)
		if ids(b) != "7-1 7-3 " {
			t.Fatalf("while nobody watched %q changed", ids(b))
		}
		end(one)
		b, _ = next(t, third)
		if ids(b) != "7-1 " || b.Calls[0].GetState() != loomv1.CallState_CALL_STATE_ENDED {
			t.Fatalf("then %q", ids(b))
		}
		third.Close()
		if b, _ := next(t, subscribe(t, s, b.Cursor)); ids(b) != "" {
			t.Errorf("what was told live is told again: %q", ids(b))
		}
	})
}

func TestCallThatIsForgottenBeforeItIsToldIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := small()
		o.Calls = 2
		s := newTestStore(t, o)
		sub := subscribe(t, s, 0)
		end(routed(s, 1, "all"))
		next(t, sub)
		synctest.Wait()
		for i := range uint64(20) {
			end(routed(s, i+2, "all"))
		}
		told, missed := uint64(0), uint64(0)
		for b, ok := next(t, sub); ok; b, ok = next(t, sub) {
			told += uint64(len(b.Calls))
			missed += b.Missed
		}
		if told+missed < 20 || told == 0 {
			t.Errorf("of 20 calls %d were told, %d missed", told, missed)
		}
	})
}

func TestTooManySubscribersAreRefused(t *testing.T) {
	s := newTestStore(t, small())
	var last *Subscription
	for range subscriptions {
		last = subscribe(t, s, 0)
	}
	if _, err := s.Subscribe(0); err == nil {
		t.Fatal("there is no end of subscribers")
	}
	last.Close()
	last.Close()
	subscribe(t, s, 0)
	if _, err := last.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed subscription says %v", err)
	}
}

func TestClosingTheStoreEndsSubscriptions(t *testing.T) {
	s, err := New(small())
	if err != nil {
		t.Fatal(err)
	}
	sub := subscribe(t, s, 0)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if _, err := sub.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("it ended with %v", err)
		}
	})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	waiting.Wait()
}

// Calls are relayed, read, watched and cleared at once.
func TestManyReadersAndCallsAtOnce(t *testing.T) {
	o := redacting(card{})
	o.Calls, o.Bytes = 50, 1<<20
	s := newTestStore(t, o)
	so := sessionOptions(t)
	w := s.OpenSession(so)
	ctx, cancel := context.WithCancel(t.Context())
	var readers, calls sync.WaitGroup
	read := func(f func()) {
		readers.Go(func() {
			for ctx.Err() == nil {
				f()
			}
		})
	}
	read(func() { s.Summaries(10) })
	read(func() { leaks(t, s, "at any time") })
	read(func() { s.Stats(); s.Call(ID{7, 3}) })
	read(func() {
		if sub, err := s.Subscribe(s.Cursor() - 1); err == nil {
			wait, stop := context.WithTimeout(ctx, 20*time.Millisecond)
			_, _ = sub.Next(wait)
			_, _ = sub.Next(wait)
			stop()
			sub.Close()
		}
	})
	readers.Go(func() {
		for ctx.Err() == nil {
			s.Clear()
			s.SetMode(Full)
			time.Sleep(5 * time.Millisecond)
		}
	})
	for g := range uint64(4) {
		calls.Go(func() {
			for i := range uint64(300) {
				f := routed(s, g*1000+i+1, "all")
				send(f, callevent.Up, []byte("a "+hidden))
				send(f, callevent.Up, append(make([]byte, 6000), hidden...))
				f.Trailers(began, trailer)
				end(f)
			}
		})
	}
	calls.Wait()
	cancel()
	readers.Wait()
	settle(s)
	w.Close()
	if err := audit(s); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Seen != 1200 || st.Open != 0 {
		t.Errorf("the figures are %+v", st)
	}
}

// A subscriber that reads nothing costs calls as much as one that reads all.
func BenchmarkStuckSubscriber(b *testing.B) {
	for _, name := range []string{"nobody", "reading", "stuck"} {
		b.Run(name, func(b *testing.B) {
			s := newTestStore(b, Options{Calls: 10_000, Bytes: 64 << 20, MessageBytes: 256 << 10})
			ctx, cancel := context.WithCancel(b.Context())
			var reading sync.WaitGroup
			if name != "nobody" {
				sub := subscribe(b, s, 0)
				if name == "reading" {
					reading.Go(func() {
						for {
							if _, err := sub.Next(ctx); err != nil {
								return
							}
						}
					})
				}
			}
			data := make([]byte, 100)
			for i := range b.N {
				f := routed(s, uint64(i+1), "all")
				send(f, callevent.Up, data)
				send(f, callevent.Down, data)
				end(f)
			}
			cancel()
			reading.Wait()
		})
	}
}
