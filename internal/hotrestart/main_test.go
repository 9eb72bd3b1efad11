//go:build linux

package hotrestart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"loom/internal/loomtest"
)

// role is the variable that makes another process of the test binary.
const role = "HOTRESTART_ROLE"

func TestMain(m *testing.M) {
	if name, ok := os.LookupEnv(role); ok {
		all := roles()
		maps.Copy(all, further)
		act, known := all[name]
		if !known {
			fmt.Fprintf(os.Stderr, "no role %q\n", name)
			os.Exit(2)
		}
		if err := act(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(loomtest.CheckLeaksMain(m))
}

// further are roles of tests that need a build tag.
var further = map[string]func() error{}

// roles are the processes that tests start.
func roles() map[string]func() error {
	return map[string]func() error{
		"serve":        func() error { return serve(nil) },
		"first":        beFirst,
		"tells":        tells,
		"never asks":   func() error { time.Sleep(time.Minute); return nil },
		"ends at once": func() error { return errors.New("loom.yaml:3:5: no such key") },
		"panics":       func() error { return serve(func(*Heir) error { panic("the table is empty") }) },
		"refuses": func() error {
			return serve(func(h *Heir) error { return errors.New("listen on :80: permission denied") })
		},
		"never ready":   func() error { return serve(func(*Heir) error { time.Sleep(time.Minute); return nil }) },
		"never serves":  neverServes,
		"ends started":  endsStarted,
		"falls silent":  fallsSilent,
		"speaks later":  func() error { return misgreets(kindWelcome, welcome{Version: 7}) },
		"speaks babble": func() error { return misgreets(kindServing, struct{}{}) },
	}
}

// serve is a whole successor: it takes all sockets of the offer that "take"
// names, binds those that "bind" names, answers each connection with its
// generation and what sections it got, and passes on itself when told so on its
// link. prepare, if any, is what it does before it is prepared.
func serve(prepare func(*Heir) error) error {
	h, err := Inherited(os.LookupEnv)
	if err != nil {
		return err
	}
	if h == nil {
		return errors.New("not inherited")
	}
	h.Progress("reads nothing")
	if prepare != nil {
		if err := prepare(h); err != nil {
			h.Fail(err)
			return err
		}
	}
	var listeners []net.Listener
	for _, key := range words("TAKE") {
		f, ok := h.Take(key)
		if !ok {
			return fmt.Errorf("socket %s was not handed over", key)
		}
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return err
		}
		listeners = append(listeners, l)
	}
	bound := words("BIND")
	says := []string{fmt.Sprintf("generation %d", h.Generation())}
	for _, name := range words("SECTIONS") {
		if s, ok := h.Section(name); ok {
			says = append(says, fmt.Sprintf("%s %d %d", name, s.Version, len(s.Data)))
		}
	}
	text := strings.Join(says, " ")
	if err := h.Prepared(context.Background(), bound); err != nil {
		return err
	}
	for _, l := range listeners {
		go answer(l, text)
	}
	if err := h.Serving(); err != nil {
		return err
	}
	return obey(h, listeners, text)
}

// words are the words of a variable of the environment.
func words(name string) []string { return strings.Fields(os.Getenv(name)) }

func answer(l net.Listener, text string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte(text))
		conn.Close()
	}
}

// obey does what the oldest process says on the link, and ends when that ends.
func obey(h *Heir, listeners []net.Listener, text string) error {
	ctx := context.Background()
	link := h.Links()[len(h.Links())-1]
	for {
		m, err := link.Receive(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch m.Name {
		case "echo":
			err = link.Send(ctx, m)
		case "environment":
			dir, _ := os.Getwd()
			err = link.Send(ctx, Message{Name: m.Name, Data: []byte(strings.Join(append(os.Environ(), "dir="+dir, "limit="+fileLimit()), "\n"))})
		case "warnings":
			err = link.Send(ctx, Message{Name: m.Name, Data: []byte(strings.Join(h.Warnings(), "\n"))})
		case "hand on":
			err = handOn(ctx, h, link, listeners)
		case "panic":
			panic("as it was told")
		}
		if err != nil {
			return err
		}
	}
}

// handOn replaces this process by another, to which the link is passed, and ends.
func handOn(ctx context.Context, h *Heir, link *Link, listeners []net.Listener) error {
	c, err := Started()
	if err != nil {
		return err
	}
	o := Offer{Generation: h.Generation() + 1, Links: h.Links()}
	for i, key := range words("TAKE") {
		o.Sockets = append(o.Sockets, Socket{Key: key, Conn: listeners[i].(*net.TCPListener)})
	}
	s, err := Hand(ctx, c, o, Options{})
	if err != nil {
		return link.Send(ctx, Message{Name: "failed", Data: []byte(err.Error())})
	}
	s.Release()
	os.Exit(0)
	return nil
}

// scripted returns the channel of a successor that does as it likes, after it
// has taken what was offered.
func scripted() (*Heir, error) {
	h, err := Inherited(os.LookupEnv)
	if err != nil {
		return nil, err
	}
	h.quiet()
	return h, nil
}

func fallsSilent() error {
	if _, err := scripted(); err != nil {
		return err
	}
	time.Sleep(time.Minute)
	return nil
}

func neverServes() error {
	h, err := scripted()
	if err == nil {
		err = h.Prepared(context.Background(), nil)
	}
	time.Sleep(time.Minute)
	return err
}

func endsStarted() error {
	h, err := scripted()
	if err == nil {
		err = h.Prepared(context.Background(), nil)
	}
	if err != nil {
		return err
	}
	return errors.New("out of memory, or nearly")
}

// misgreets answers HELLO wrongly.
func misgreets(k kind, head any) error {
	_ = os.Unsetenv(variable)
	newLent()
	c, err := adoptChannel(os.NewFile(channelDescriptor, "channel"), "new")
	if err != nil {
		return err
	}
	if _, err := c.receive(context.Background()); err != nil {
		return err
	}
	if _, err := c.send(context.Background(), k, head, nil); err != nil {
		return err
	}
	time.Sleep(time.Minute)
	return nil
}

// successorCommand starts the test binary in a role, with further variables.
func successorCommand(t *testing.T, name string, env ...string) Command {
	t.Helper()
	path, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	return Command{
		Args: []string{path}, Dir: t.TempDir(),
		Env: slices.Concat(os.Environ(), []string{role + "=" + name, "GORACE=atexit_sleep_ms=0"}, env),
	}
}

// beFirst hands over as PID 1, and looks whether the successor is waited for.
func beFirst() error {
	if os.Getpid() != 1 {
		return fmt.Errorf("process %d is not the first", os.Getpid())
	}
	c, err := Started()
	if err != nil {
		return err
	}
	c.Env = append([]string{role + "=serve"}, c.Env...)
	s, err := Hand(context.Background(), c, Offer{Generation: 2}, Options{})
	if err != nil {
		return err
	}
	s.Release() // has no effect while it lives
	s.Kill()
	if err := syscall.Kill(s.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("the successor was not waited for: %w", err)
	}
	return nil
}

// tells starts the program that its argument names, which fails, and prints why.
func tells() error {
	c, err := Started()
	if err != nil {
		return err
	}
	c.Args = os.Args[1:]
	_, err = Hand(context.Background(), c, Offer{Generation: 2}, Options{})
	return err
}
