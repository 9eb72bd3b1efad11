package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"loom/internal/capture"
	"loom/internal/decode"
	"loom/internal/export"
	"loom/internal/inspector"
	"loom/internal/reflectcache"
)

// viewerSpare is room in the ring of a saved capture that no call needs: one
// that comes has a place before it is known how much it takes.
const viewerSpare = 64 << 10

// Viewer shows a saved capture in the inspector, without any backend.
type Viewer struct {
	// Immutable.
	store     *capture.Store
	cache     *reflectcache.Cache
	inspector *inspector.Server
	page      net.Listener
}

// NewViewer reads the .loom file at path and binds the inspector's address.
func NewViewer(path, address string, o Options) (*Viewer, error) {
	saved, err := readSaved(path)
	if err != nil {
		return nil, err
	}
	for _, text := range saved.Warnings {
		o.Log.Warn("saved capture", zap.String("file", path), zap.String("problem", text))
	}
	generation := newGeneration(time.Now())
	v := &Viewer{cache: reflectcache.New(reflectcache.Options{Log: o.Log.Named("reflection")})}
	if err := v.open(saved, path, address, generation, o); err != nil {
		return nil, errors.Join(err, v.close())
	}
	return v, nil
}

func readSaved(path string) (*export.Saved, error) {
	f, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, fmt.Errorf("open the saved capture: %w", err)
	}
	saved, err := export.ReadLoom(f, export.DefaultLimits())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", path, err), f.Close())
	}
	return saved, f.Close()
}

func (v *Viewer) open(saved *export.Saved, path, address string, generation uint64, o Options) error {
	size := int64(0)
	for _, c := range saved.Calls {
		size += capture.Cost(c)
	}
	var err error
	v.store, err = capture.New(capture.Options{
		Generation: generation, Calls: len(saved.Calls) + 1, Bytes: size + viewerSpare, Mode: capture.Off,
	})
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(saved.Calls))
	for _, c := range saved.Calls {
		if known[c.GetId()] {
			continue // two rows of one id cannot be told apart
		}
		known[c.GetId()] = true
		if err := v.store.Add(c); err != nil {
			o.Log.Warn("saved capture", zap.String("file", path), zap.Error(err))
		}
	}
	for backend, set := range saved.Descriptors {
		if err := v.cache.AddFileSet(backend, set, decode.FromFiles); err != nil {
			o.Log.Warn("descriptors of the saved capture", zap.String("backend", backend), zap.Error(err))
		}
	}
	v.page, err = new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return &ListenError{Listener: "inspector", Address: address, Err: listenCause(err)}
	}
	v.inspector, err = inspector.New(inspector.Options{
		RecordsOptions: inspector.RecordsOptions{
			Store: v.store, Decoder: decode.New(decode.DefaultLimits(), nil), Schemas: v.cache, ReadOnly: true,
		},
		Address: v.page.Addr().String(),
		Info:    inspector.Info{Generation: generation, Version: o.Version, Title: filepath.Base(path)},
		Log:     o.Log.Named("inspector"),
	})
	return err
}

// URL is where the capture is shown, with the token.
func (v *Viewer) URL() string { return v.inspector.URL() }

// Serve shows the capture until ctx ends.
func (v *Viewer) Serve(ctx context.Context) error {
	return errors.Join(v.inspector.Serve(ctx, v.page), v.close())
}

func (v *Viewer) close() error {
	v.cache.Close()
	var err error
	if v.inspector == nil && v.page != nil {
		err = v.page.Close()
	}
	if v.store != nil {
		err = errors.Join(err, v.store.Close())
	}
	return err
}
