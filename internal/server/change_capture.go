package server

import (
	"context"
	"reflect"
	"slices"

	"loom/internal/capture"
	"loom/internal/config"
	"loom/internal/decode"
	"loom/internal/h2"
)

// capture has calls recorded as the new configuration says. The list stays, as
// far as there is room for it.
func (c *change) capture(context.Context) error {
	w := c.server.watch
	was, err := captureSettings(c.was.cfg)
	if err != nil {
		return err
	}
	is, err := captureSettings(c.next.cfg)
	if err != nil {
		return err
	}
	fields := c.next.cfg.Capture.Redact.Fields
	redacts := !slices.Equal(fields, c.was.cfg.Capture.Redact.Fields)
	if !redacts && reflect.DeepEqual(was, is) {
		return nil
	}
	if err := w.store.Prepare(is); err != nil {
		return err
	}
	if redacts {
		r := decode.NewRedactor(fields)
		c.then(func(*h2.Batch) {
			w.schemas.redactor.Store(r)
			w.schemas.decoder.Redact(r)
		})
	}
	c.then(func(*h2.Batch) { w.store.Apply(is) }) // what was known of messages is asked for again
	return nil
}

// captureSettings are what a configuration says of the store.
func captureSettings(cfg *config.Config) (capture.Settings, error) {
	c := &cfg.Capture
	mode, err := captureMode(c.Mode)
	return capture.Settings{
		Calls: c.Ring.Calls, Bytes: int64(c.Ring.Bytes), MessageBytes: int(c.MessageBytes), Mode: mode, RouteModes: routeModes(cfg), Redact: c.Redact.Metadata,
	}, err
}
