package systemd

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// pingsPerWatchdog is how many pings fit in the time that systemd waits for
// one: a single one that is late on a busy machine does not end loomd.
const pingsPerWatchdog = 3

// watchdogOf is how long systemd waits for a ping; 0 if it waits for none. What
// it asked of the first process it asks of each that takes over.
func watchdogOf(env Env, successor bool) (time.Duration, error) {
	text, _ := env("WATCHDOG_USEC")
	if text == "" {
		return 0, nil
	}
	if pid, _ := env("WATCHDOG_PID"); !successor && pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0, nil // it is another process that is watched
	}
	usec, err := strconv.ParseInt(text, 10, 64)
	if err != nil || usec <= 0 || usec > int64(time.Duration(1<<63-1)/time.Microsecond) {
		return 0, fmt.Errorf("WATCHDOG_USEC=%q is no number of microseconds: systemd's watchdog gets no pings", text)
	}
	return time.Duration(usec) * time.Microsecond, nil
}

// Watch pings systemd's watchdog, if there is one, as long as this process is
// the main one, until ctx ends. Each ping follows a call of alive that returned
// nil, for which there is a third of the watchdog's time. An error, which
// failed is told of, costs a ping; systemd kills a process that sends none.
func (n *Notifier) Watch(ctx context.Context, alive func(context.Context) error, failed func(error)) {
	if n == nil || n.watchdog == 0 {
		return
	}
	select {
	case <-n.leading:
	case <-ctx.Done():
		return
	}
	every := n.watchdog / pingsPerWatchdog
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := n.ping(ctx, every, alive); err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Notifier) ping(ctx context.Context, within time.Duration, alive func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := alive(ctx); err != nil {
		return fmt.Errorf("no ping for systemd's watchdog: %w", err)
	}
	return n.tell(func() []string { return []string{"WATCHDOG=1"} })
}
