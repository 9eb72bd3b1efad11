package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"loom/internal/config"
	"loom/internal/hotrestart"
	"loom/internal/server"
)

// daemon is a loomd that relays calls.
type daemon struct {
	origin  *origin
	flags   *flags
	env     lookupEnv
	cfg     *config.Config
	demo    *demoParts
	log     *zap.Logger
	level   *zap.AtomicLevel // of log
	signals <-chan os.Signal // to end
	hangups <-chan os.Signal // to reload
	stdout  io.Writer
	stderr  io.Writer
}

// serve runs the daemon until a signal ends it, or another process has taken
// over and all calls are done.
func (d *daemon) serve(ctx context.Context) error {
	var ended []server.Ended
	if !d.flags.quiet {
		lines := server.NewCallLines(d.stdout, colourful(d.stdout, d.env))
		defer lines.Close()
		ended = append(ended, lines)
	}
	own, err := d.ownCertificate()
	if err != nil {
		return err
	}
	s, err := d.open(own, ended)
	if err != nil {
		own.remove()
		return err
	}
	defer func() {
		if !isClosed(s.Replaced()) {
			own.remove()
		}
	}()
	stopMemory := reportMemory(d.log)
	defer stopMemory()
	if d.origin.heir == nil {
		introduceInspector(d.stderr, d.env, s.InspectorURL())
		own.introduce(d.stderr, s.Addresses()[0])
		d.demo.introduce(d.stderr, s.Addresses()[0], own)
	} else if err := d.origin.heir.Prepared(ctx, s.Bound()); err != nil {
		d.origin.serving = true // Prepared has told it
		s.Close()
		return err
	}
	d.origin.serving = true
	err = d.run(ctx, s, own)
	s.LogTotals()
	return err
}

// open builds the server.
func (d *daemon) open(own *ownCertificate, ended []server.Ended) (*server.Server, error) {
	notifier, sockets := service(d.env, d.origin.heir != nil, d.log)
	o := server.Options{
		Certificate: own.shown(),
		Log:         d.log, Ended: ended, StateDir: stateDir(d.env), Version: version(), File: configFile(d.flags, d.env), Level: d.level,
		Admin:   adminSocket(d.flags, d.cfg, d.env),
		Systemd: notifier, Sockets: sockets,
		Command: d.origin.reloads(d.flags), Heir: d.origin.heir,
	}
	if heir := d.origin.heir; heir != nil {
		heir.Progress(version() + " takes over from " + heir.Build())
	}
	if own != nil {
		o.Crossing = []hotrestart.Section{{Name: certificateSection, Version: certificateVersion, Save: own.save}}
	}
	return server.New(d.cfg, o)
}

// run serves, and does what signals say.
func (d *daemon) run(ctx context.Context, s *server.Server, own *ownCertificate) error {
	stopDemo := d.demo.start(ctx, d.log, s.Addresses()[0], own)
	running, stop := context.WithCancel(ctx)
	defer stop()
	cut, cutOff := context.WithCancel(context.Background())
	var obeying sync.WaitGroup
	defer obeying.Wait()
	defer cutOff()
	obeying.Go(func() { d.reloadOnHangup(cut, s, &obeying) })
	obeying.Go(func() {
		replaced := s.Replaced()
		for waiting := true; waiting; {
			select {
			case sig := <-d.signals:
				d.log.Info("draining", zap.Stringer("signal", sig), zap.Duration("at_most", s.DrainTime()))
				waiting = false
			case <-replaced:
				stopDemo() // the other process has one of its own
				replaced = nil
			case <-ctx.Done():
				waiting = false
			case <-cut.Done():
				waiting = false
			}
		}
		stopDemo()
		stop()
		t := time.NewTimer(s.DrainTime())
		defer t.Stop()
		select {
		case <-d.signals:
		case <-t.C:
		case <-cut.Done():
		}
		cutOff()
	})
	return s.Serve(running, cut)
}

// notifyHangups returns where SIGHUP comes, unless whoever started this process
// wants it ignored, as nohup does.
func notifyHangups() chan os.Signal {
	hangups := make(chan os.Signal, 1)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(hangups, syscall.SIGHUP)
	}
	return hangups
}

// reloadOnHangup reloads whenever SIGHUP comes, until ctx ends. One that is
// under way is no reason to wait: the log then says so.
func (d *daemon) reloadOnHangup(ctx context.Context, s *server.Server, running *sync.WaitGroup) {
	log := d.log.Named("reload")
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.hangups:
		}
		running.Go(func() {
			_, err := s.Reload(ctx, "SIGHUP", func(line string) error {
				log.Info(line)
				return nil
			})
			if err != nil && ctx.Err() == nil {
				log.Error("SIGHUP did not reload", zap.Error(err))
			}
		})
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
