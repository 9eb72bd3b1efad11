package h2

import "time"

type alarmKind uint8

const (
	alarmDeadline  alarmKind = iota // the call's own, see Stream.SetDeadline
	alarmStall                      // a stream takes nothing while bytes wait
	alarmPreface                    // the peer's preface and SETTINGS are due
	alarmKeepalive                  // look whether the peer is still there
	alarmDrain                      // the PING of a two-phase GOAWAY was not answered
	alarmAge                        // it has lived for long enough, or its grace is over
	alarmIdle                       // look whether it has had no streams for too long
)

// alarm is something to do at a time. It lies in the heap of its connection.
type alarm struct {
	at     time.Duration // since alarms.epoch: half the size of a time.Time
	stream *Stream       // nil for an alarm of the connection
	index  int32         // place in the heap plus one; 0 when it is not set
	kind   alarmKind
}

// alarms is a min-heap on alarm.at with one runtime timer. Removing an alarm
// leaves the timer as it is: it finds nothing due then, and is set anew. So
// calls with deadlines that end in time cost no timer at all.
// Guarded by the mutex of the connection.
type alarms struct {
	epoch time.Time // immutable
	heap  []*alarm
	timer *time.Timer
	armed time.Duration // when timer fires; 0 when it is not set
}

// set puts a into the heap or moves it. fire is what the timer runs.
func (h *alarms) set(a *alarm, at time.Time, fire func()) {
	a.at = max(at.Sub(h.epoch), 1)
	if a.index == 0 {
		h.heap = append(h.heap, a)
		a.index = int32(len(h.heap))
		h.up(len(h.heap) - 1)
	} else {
		h.up(int(a.index) - 1)
		h.down(int(a.index) - 1)
	}
	h.arm(fire)
}

// arm sets the timer unless it fires early enough already.
func (h *alarms) arm(fire func()) {
	first := h.heap[0].at
	if h.armed != 0 && first >= h.armed {
		return
	}
	h.armed = first
	d := first - time.Since(h.epoch) // not through a Time, which would wrap for the longest ones
	if h.timer == nil {
		h.timer = time.AfterFunc(d, fire)
		return
	}
	h.timer.Reset(d)
}

// fired is called when the timer has fired and nothing more is due, and when
// what it fired for was not looked at.
func (h *alarms) fired(fire func()) {
	h.armed = 0
	if len(h.heap) > 0 {
		h.arm(fire)
	}
}

// delay moves an alarm that is set by d.
func (h *alarms) delay(a *alarm, d time.Duration) {
	if a.index == 0 {
		return
	}
	a.at += d
	h.down(int(a.index) - 1)
}

// left returns how long it is at now until a is due; 0 if a is not set.
func (h *alarms) left(a *alarm, now time.Time) time.Duration {
	if a.index == 0 {
		return 0
	}
	return max(1, a.at-now.Sub(h.epoch))
}

// put sets a, which is not set, to d after the epoch, and leaves the timer alone.
func (h *alarms) put(a *alarm, d time.Duration) {
	if d <= 0 {
		return
	}
	a.at = d
	h.heap = append(h.heap, a)
	a.index = int32(len(h.heap))
	h.up(len(h.heap) - 1)
}

func (h *alarms) clear(a *alarm) {
	if a.index == 0 {
		return
	}
	i, last := int(a.index)-1, len(h.heap)-1
	h.swap(i, last)
	h.heap[last] = nil
	h.heap = h.heap[:last]
	a.index = 0
	if i < last {
		h.up(i)
		h.down(i)
	}
}

// due takes the earliest alarm that is due out of the heap; nil if none is.
func (h *alarms) due(now time.Time) *alarm {
	if len(h.heap) == 0 || h.heap[0].at > now.Sub(h.epoch) {
		return nil
	}
	a := h.heap[0]
	h.clear(a)
	return a
}

func (h *alarms) stop() {
	if h.timer != nil {
		h.timer.Stop()
	}
	h.heap = nil
}

func (h *alarms) swap(i, j int) {
	h.heap[i], h.heap[j] = h.heap[j], h.heap[i]
	h.heap[i].index = int32(i) + 1
	h.heap[j].index = int32(j) + 1
}

func (h *alarms) up(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if h.heap[i].at >= h.heap[p].at {
			return
		}
		h.swap(i, p)
		i = p
	}
}

func (h *alarms) down(i int) {
	for {
		m := 2*i + 1
		if m >= len(h.heap) {
			return
		}
		if r := m + 1; r < len(h.heap) && h.heap[r].at < h.heap[m].at {
			m = r
		}
		if h.heap[m].at >= h.heap[i].at {
			return
		}
		h.swap(i, m)
		i = m
	}
}
