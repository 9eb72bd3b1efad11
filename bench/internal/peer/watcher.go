package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
)

// watcher is an open inspector: it takes the stream of calls as a page does,
// and throws it away.
type watcher struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// watch opens the inspector at the address that loomd printed, token included.
func watch(page string) (*watcher, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("make a cookie jar: %w", err)
	}
	client := &http.Client{Jar: jar}
	ctx, cancel := context.WithCancel(context.Background())
	if err := visit(ctx, client, page); err != nil {
		cancel()
		return nil, err
	}
	origin, _, _ := strings.Cut(page, "/?")
	stream, err := get(ctx, client, origin+"/api/stream")
	if err != nil {
		cancel()
		return nil, err
	}
	w := &watcher{cancel: cancel}
	w.running.Go(func() {
		defer stream.Close()
		_, _ = io.Copy(io.Discard, stream) // it ends when the peer does
	})
	return w, nil
}

// visit trades the token for the cookie.
func visit(ctx context.Context, client *http.Client, page string) error {
	body, err := get(ctx, client, page)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, body)
	return errors.Join(err, body.Close())
}

func get(ctx context.Context, client *http.Client, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask the inspector: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the inspector: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("ask the inspector: %s", res.Status), res.Body.Close())
	}
	return res.Body, nil
}

// stop closes the page.
func (w *watcher) stop() {
	w.cancel()
	w.running.Wait()
}
