package pki

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Keys are replaced daily, and open tickets for two days more.
func TestTicketKeysRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tickets := NewTickets()
		first, generation := tickets.keysFor("edge", time.Now())
		time.Sleep(rotateEvery - time.Second)
		if same, g := tickets.keysFor("edge", time.Now()); g != generation || !slices.Equal(same, first) {
			t.Error("the keys are replaced too early")
		}
		for day := range keptKeys + 1 {
			time.Sleep(rotateEvery)
			keys, g := tickets.keysFor("edge", time.Now())
			if g == generation {
				t.Errorf("day %d: the keys are not replaced", day)
			}
			generation = g
			if len(keys) > keptKeys || slices.Contains(keys, first[0]) != (day < keptKeys-1) {
				t.Errorf("day %d: %d keys, the first among them: %v", day, len(keys), slices.Contains(keys, first[0]))
			}
		}
	})
}

func TestTicketKeysCrossProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := NewTickets()
		old.keysFor("edge", time.Now().Add(rotateEvery)) // two keys
		time.Sleep(time.Hour)
		fresh := NewTickets()
		_, before := fresh.keysFor("edge", time.Now())
		if err := fresh.Restore(old.Snapshot()); err != nil {
			t.Fatal(err)
		}
		want, _ := old.keysFor("edge", time.Now())
		got, after := fresh.keysFor("edge", time.Now())
		if !slices.Equal(got, want) || len(got) != 2 {
			t.Error("the keys are others")
		}
		if after == before {
			t.Error("nobody is told that the keys are others")
		}
		time.Sleep(2 * rotateEvery)
		got, _ = fresh.keysFor("edge", time.Now())
		if slices.Contains(got[:1], want[0]) {
			t.Error("a key that was handed over makes tickets for ever")
		}
		if keys, _ := fresh.keysFor("other", time.Now()); slices.Contains(keys, got[0]) {
			t.Error("two servers have one key")
		}
	})
}

func TestRestoreOfWhatIsNoSnapshot(t *testing.T) {
	tickets := NewTickets()
	before := tickets.Snapshot()
	good := NewTickets().Snapshot()
	for name, snapshot := range map[string][]byte{
		"nothing": nil, "no key": {ticketsVersion}, "another version": append([]byte{9}, good[1:]...),
		"cut": good[:len(good)-1], "too many": append([]byte{ticketsVersion}, slices.Repeat(good[1:], keptKeys+1)...),
	} {
		if err := tickets.Restore(snapshot); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if !slices.Equal(tickets.Snapshot(), before) {
		t.Error("a snapshot that was refused changed something")
	}
}

func FuzzRestoreTickets(f *testing.F) {
	f.Add(NewTickets().Snapshot())
	f.Add([]byte{ticketsVersion, 0xff})
	f.Fuzz(func(t *testing.T, snapshot []byte) {
		tickets := NewTickets()
		if tickets.Restore(snapshot) != nil {
			return
		}
		if keys, _ := tickets.keysFor("edge", time.Now()); len(keys) == 0 || len(keys) > keptKeys {
			t.Errorf("it has %d keys", len(keys))
		}
		if err := NewTickets().Restore(tickets.Snapshot()); err != nil {
			t.Error(err)
		}
	})
}
