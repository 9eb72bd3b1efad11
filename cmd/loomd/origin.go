package main

import (
	"fmt"

	"loom/internal/hotrestart"
)

// origin is where this process comes from.
type origin struct {
	command hotrestart.Command // how the first process was started
	heir    *hotrestart.Heir   // what the process before hands over; nil: there was none
	serving bool               // the process before has been told, or there is nothing to tell it
}

// newOrigin takes what a process before this one hands over. It is the first
// thing that happens.
func newOrigin(env lookupEnv) (*origin, error) {
	command, err := hotrestart.Started()
	if err != nil {
		return nil, err
	}
	heir, err := hotrestart.Inherited(env)
	if err != nil {
		return nil, err
	}
	return &origin{command: command, heir: heir}, nil
}

// fail tells the process before, if there is one that waits, why this one
// cannot take over.
func (o *origin) fail(err error) {
	if o.heir != nil && !o.serving {
		o.serving = true
		o.heir.Fail(err)
	}
}

// reloads is how a reload starts another process: as this one was. The demo is
// not asked whether its flags are right, because it would start its backends.
func (o *origin) reloads(f *flags) *hotrestart.Command {
	c := o.command
	if !f.demo {
		c.Check = append(append([]string(nil), c.Args[1:]...), "-check")
	}
	return &c
}

// section returns what the process before saved under the name.
func (o *origin) section(name string, version uint32) ([]byte, error) {
	if o.heir == nil {
		return nil, nil
	}
	s, ok := o.heir.Section(name)
	if !ok {
		return nil, nil
	}
	if s.Version != version {
		return nil, fmt.Errorf("section %s has version %d, this loomd reads %d", name, s.Version, version)
	}
	return s.Data, nil
}
