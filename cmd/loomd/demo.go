package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"go.uber.org/zap"

	"loom/internal/config"
	"loom/internal/demo"
)

// demoParts is what -demo runs besides the daemon. A nil one runs nothing.
type demoParts struct {
	backends *demo.Backends
}

// demoConfig is the loom.yaml of the demo. Reflection, and all that has no
// route of its own, goes to the shop.
const demoConfig = `
listeners:
  - {name: plain, address: "%s"}
backends:
  shop: {targets: ["%s"], breaker: {}}
  pay: {targets: ["%s"], breaker: {open_for: 3s, max_open_for: 12s}}
routes:
  - {name: orders, match: {service: demo.shop.v1.Orders}, backend: shop}
  - {name: ledger, match: {service: demo.pay.v1.Ledger}, backend: pay}
  - {name: rest, backend: shop}
restart: {drain: 500ms}
`

// watchConfig is added for each of those that is not off.
const (
	inspectorConfig = "inspector: {address: %q}\n"
	metricsConfig   = "metrics: {address: %q}\n"
)

// newDemo starts the demo's backends and returns the configuration to reach them.
func newDemo(ctx context.Context, f *flags) (*demoParts, *config.Config, error) {
	var address config.Address
	if err := address.UnmarshalText([]byte(f.listen)); err != nil {
		return nil, nil, fmt.Errorf("-listen: %w", err)
	}
	b, err := demo.StartBackends(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("start the demo's backends: %w", err)
	}
	text := fmt.Sprintf(demoConfig, address, b.Shop(), b.Pay())
	if a := unlessOff(f.inspector); a != "" {
		text += fmt.Sprintf(inspectorConfig, a)
	}
	if a := unlessOff(f.metrics); a != "" {
		text += fmt.Sprintf(metricsConfig, a)
	}
	cfg, _, err := config.Parse("demo", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		return nil, nil, errors.Join(err, b.Close())
	}
	return &demoParts{backends: b}, cfg, nil
}

// introduce tells the user what there is to see.
func (d *demoParts) introduce(w io.Writer, address string, own *ownCertificate) {
	if d == nil {
		return
	}
	fmt.Fprintf(w, `loomd relays %[1]s to two demo backends, with about 5 calls a second.
Each line is a call that ended: time, status, latency, method, backend, messages
and bytes up and down, caller, who ended it. Ctrl-C stops. To join in:
  grpcurl -d '{"order_id": "ord-1001"}' %[2]s demo.shop.v1.Orders/GetOrder

`, address, own.grpcurl(address))
}

// start begins the traffic to the daemon at address; stop ends it and waits.
func (d *demoParts) start(ctx context.Context, log *zap.Logger, address string, own *ownCertificate) (stop func()) {
	if d == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		target := address
		if !strings.HasPrefix(target, "unix:") {
			target = "passthrough:///" + target
		}
		if err := demo.NewTraffic(target, demo.TrafficTLS(own.client())).Run(ctx); err != nil && ctx.Err() == nil {
			log.Error("demo traffic", zap.Error(err))
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

func (d *demoParts) close() {
	if d != nil {
		_ = d.backends.Close()
	}
}
