package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"loom/bench/internal/certificate"
	"loom/bench/internal/endpoint"
	"loom/bench/internal/proc"
	"loom/bench/internal/role"
)

// Fleet is the backend with the proxies before it. It is used by one goroutine.
type Fleet struct {
	place   place
	backend *Peer
	secure  *Peer // the backend over TLS; nil if no peer needs it
	peers   []*Peer
}

// Start starts the backend and the named peers. loomd is the executable of
// loomd, dir a folder for the files of all. On an error nothing is left running.
func Start(ctx context.Context, names []string, loomd, dir string) (*Fleet, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the bench's own executable: %w", err)
	}
	f := &Fleet{place: place{
		dir:     dir,
		backend: loopback(backendPort),
		self:    self,
		loomd:   loomd,
	}}
	if f.place.tls, err = certificate.Make(dir); err != nil {
		return nil, err
	}
	if err := f.startAll(ctx, names); err != nil {
		return nil, errors.Join(err, f.Stop())
	}
	return f, nil
}

func (f *Fleet) startAll(ctx context.Context, names []string) error {
	var err error
	echo := recipe{port: backendPort, prepare: ownRole(role.Echo), version: grpcVersion}
	if f.backend, err = f.start(ctx, role.Echo, echo); err != nil {
		return err
	}
	if slices.ContainsFunc(names, func(name string) bool { return recipes()[name].secure }) {
		echo := recipe{port: secureBackendPort, prepare: secureEcho, version: grpcVersion}
		if f.secure, err = f.start(ctx, role.Echo+"-tls", echo); err != nil {
			return err
		}
	}
	for _, name := range names {
		if name == Direct {
			f.peers = append(f.peers, &Peer{Name: Direct, Addr: f.backend.Addr, Version: f.backend.Version})
			continue
		}
		p, err := f.start(ctx, name, recipes()[name])
		if err != nil {
			return err
		}
		f.peers = append(f.peers, p)
	}
	return nil
}

func (f *Fleet) start(ctx context.Context, name string, r recipe) (*Peer, error) {
	at := f.place
	at.listen = loopback(r.port)
	at.dir = filepath.Join(f.place.dir, name)
	if r.secure {
		at.backend = loopback(secureBackendPort)
	}
	if err := os.MkdirAll(at.dir, 0o700); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	version, err := r.version(at)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	cmd, err := r.prepare(at)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := proc.PortFree(at.listen); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	process, err := proc.Start(name, cmd.path, cmd.args...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := process.WaitListening(ctx, at.listen); err != nil {
		return nil, errors.Join(err, process.Stop())
	}
	p := &Peer{Name: name, Addr: at.listen, Version: version, reports: cmd.reports, process: process}
	if r.secure {
		p.Addr = endpoint.Secure(at.listen)
	}
	if cmd.watched {
		if err := p.watch(ctx); err != nil {
			return nil, errors.Join(err, process.Stop())
		}
	}
	return p, nil
}

// Peers returns the peers in the order in which they were named.
func (f *Fleet) Peers() []*Peer { return slices.Clone(f.peers) }

// Restart ends a peer and starts it afresh, so that no earlier load is left in
// its memory. The old *Peer must not be used any more.
func (f *Fleet) Restart(ctx context.Context, p *Peer) (*Peer, error) {
	at := slices.Index(f.peers, p)
	if at < 0 {
		return nil, fmt.Errorf("restart %s: not a peer of this fleet", p.Name)
	}
	if p.process == nil {
		return p, nil
	}
	if err := p.stop(); err != nil {
		return nil, err
	}
	fresh, err := f.start(ctx, p.Name, recipes()[p.Name])
	if err != nil {
		return nil, err
	}
	f.peers[at] = fresh
	return fresh, nil
}

// Check reports the first process that has ended without being asked to.
func (f *Fleet) Check() error {
	for _, p := range append(f.Peers(), f.backends()...) {
		if err := p.Err(); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends all processes, the backend last, and waits for them.
func (f *Fleet) Stop() error {
	var errs []error
	for _, p := range f.peers {
		errs = append(errs, p.stop())
	}
	for _, p := range f.backends() {
		errs = append(errs, p.stop())
	}
	return errors.Join(errs...)
}

// backends returns the backends that were started.
func (f *Fleet) backends() []*Peer {
	return slices.DeleteFunc([]*Peer{f.backend, f.secure}, func(p *Peer) bool { return p == nil })
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
