package backend

import "container/list"

// queue is calls in the order in which they came.
type queue struct {
	calls list.List // of *waiting
	place map[Waiter]*list.Element
}

// waiting is a call in the queue, and what it asked for.
type waiting struct {
	call Waiter
	pick Pick
}

func newQueue() queue { return queue{place: make(map[Waiter]*list.Element)} }

func (q *queue) len() int { return q.calls.Len() }

// push puts w at the end. A call waits at most once.
func (q *queue) push(w Waiter, p Pick) { q.place[w] = q.calls.PushBack(&waiting{w, p}) }

// front returns the oldest; nil if there is none.
func (q *queue) front() (Waiter, Pick) {
	if e := q.calls.Front(); e != nil {
		w := e.Value.(*waiting)
		return w.call, w.pick
	}
	return nil, Pick{}
}

// remove reports whether w was there.
func (q *queue) remove(w Waiter) bool {
	e, ok := q.place[w]
	if ok {
		q.calls.Remove(e)
		delete(q.place, w)
	}
	return ok
}
