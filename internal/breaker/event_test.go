package breaker

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestEventsOfAStuckSubscriberAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		var told []Event
		b, err := New(Options{Name: "users", Settings: usual(), OnEvent: func(e Event) {
			<-stuck
			told = append(told, e)
		}})
		if err != nil {
			t.Fatal(err)
		}
		const changes = 1000
		for range changes / 2 {
			b.Open("the operator")
			b.Auto("the operator")
		}
		synctest.Wait()
		close(stuck)
		b.Stop()
		missed := uint64(0)
		for _, e := range told {
			missed += e.Missed
		}
		if len(told) > maxEvents+1 || uint64(len(told))+missed != changes {
			t.Errorf("%d events told and %d missed, of %d", len(told), missed, changes)
		}
		if last := told[len(told)-1]; last.To != Closed || last.From != ForcedOpen {
			t.Errorf("the last one told is %+v", last)
		}
	})
}

func TestStopWaitsForTheSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		b, err := New(Options{Name: "users", Settings: usual(), OnEvent: func(Event) {
			time.Sleep(time.Minute)
			told++
		}})
		if err != nil {
			t.Fatal(err)
		}
		b.Open("the operator")
		b.Auto("the operator")
		b.Stop()
		if told != 2 {
			t.Errorf("Stop returned after %d of 2 events", told)
		}
	})
}
