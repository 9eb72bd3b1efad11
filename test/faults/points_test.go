//go:build linux

package faults

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"loom/test/traffic"
)

// points are those of the protocol at which a process can end or stop, in
// order: the side, what it does ("sends" before, "sent" after), and with what.
var points = []string{
	"old sends HELLO", "old sent HELLO", "new got HELLO", "new sends WELCOME", "new sent WELCOME", "old got WELCOME",
	"old sends LISTENERS", "old sent LISTENERS", "new got LISTENERS", "new sends ACK", "new sent ACK", "old got ACK",
	"old sends STATE", "old sent STATE", "new got STATE",
	"old sends COMPLETE", "old sent COMPLETE", "new got COMPLETE",
	"new sends PROGRESS", "new sent PROGRESS", "old got PROGRESS",
	"new sends PREPARED", "new sent PREPARED", "old got PREPARED",
	"old sends START", "old sent START", "new got START",
	"new sends SERVING", "new sent SERVING", "old got SERVING",
}

// told is the first point at which the fresh process may accept.
const told = "old sent START"

// stopped is how long a process is stopped: longer than any limit but those of
// getting ready and of the whole.
const stopped = 6 * time.Second

// TestPoints kills and stops both processes at each point, under load.
func TestPoints(t *testing.T) {
	// Most of the time they wait for limits, so that some run side by side.
	const atOnce = 5
	room := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for _, point := range points {
		for _, signal := range []string{"STOP", "KILL"} {
			room <- struct{}{}
			running.Go(func() {
				defer func() { <-room }()
				t.Run(point+" "+signal, func(t *testing.T) { goWrong(t, point, signal) })
			})
		}
	}
	running.Wait()
}

func goWrong(t *testing.T, point, signal string) {
	found := &traffic.Faults{}
	l := start(t, settings{backend: startBackend(t, found)})
	c := call(t, l.plain, found)
	late := slices.Index(points, point) >= slices.Index(points, told)
	old := strings.HasPrefix(point, "old ")
	l.goesWrong(point, signal)
	switch {
	case old && signal == "KILL":
		c.forgive()
		l.ctl("reload")
		l.wentWrong()
		if !late {
			l.nobodyServes(c)
			return
		}
		l.serves(2)
	case old:
		l.stopsAndGoesOn(late)
	case point == "new sent SERVING" && signal == "STOP":
		l.stopsServing()
	default:
		if late {
			c.forgive() // what the fresh one had accepted ends with it
		}
		l.fails(map[string]string{"KILL": " ended", "STOP": " within 5s"}[signal])
		l.wentWrong()
	}
	c.strict()
	l.reload()
	c.end()
}

// nobodyServes: the fresh process was not told to serve, and ends with the old
// one. Whoever looks after loomd starts it anew, on the same addresses.
func (l *loom) nobodyServes(c *clients) {
	l.t.Helper()
	l.allEnd()
	c.stop()
	c.working.Wait()
	if conn, err := net.Dial("tcp", l.plain); err == nil {
		conn.Close()
		l.t.Error("somebody still accepts")
	}
}

// serves waits until a generation is there.
func (l *loom) serves(generation int) {
	l.t.Helper()
	l.await(fmt.Sprintf("generation %d serves", generation), func() bool {
		text, code := l.ctl("status")
		return code == 0 && strings.Contains(text, fmt.Sprintf("generation %d", generation))
	})
}

// stopsAndGoesOn stops the old process longer than the fresh one is silent. It
// finds that its time is over, or the fresh one at work.
func (l *loom) stopsAndGoesOn(late bool) {
	l.t.Helper()
	type outcome struct {
		text string
		code int
	}
	ended := make(chan outcome, 1)
	go func() {
		text, code := l.ctl("reload")
		ended <- outcome{text, code}
	}()
	l.wentWrong()
	time.Sleep(stopped)
	l.signal(l.group, syscall.SIGCONT)
	o := <-ended
	switch reloaded := strings.Contains(o.text, "reloaded: generation 2 serves"); {
	case reloaded && o.code == 0:
	case late || reloaded || !strings.Contains(o.text, "the reload failed, and all is as before"):
		l.t.Errorf("loomctl reload exits with %d and says %s", o.code, o.text)
	}
}

// stopsServing stops a process that serves. Nobody but whoever watches it can
// tell that from one that is busy: callers wait until it goes on.
func (l *loom) stopsServing() {
	l.t.Helper()
	_, pid := l.reload()
	l.wentWrong()
	l.signal(pid, syscall.SIGCONT)
}
