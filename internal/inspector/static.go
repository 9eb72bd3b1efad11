package inspector

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
)

//go:embed static
var embedded embed.FS

// files are those of the page, by path below static, all in memory. They
// never change.
type files map[string]file

type file struct {
	data []byte
	kind string
	etag string
}

// fileKinds are the only files that are served.
var fileKinds = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

func readFiles(from fs.FS) (files, error) {
	out := files{}
	err := fs.WalkDir(from, ".", func(name string, entry fs.DirEntry, err error) error {
		kind := fileKinds[path.Ext(name)]
		if err != nil || entry.IsDir() || kind == "" {
			return err
		}
		data, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		out[name] = file{data: data, kind: kind, etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the embedded page: %w", err)
	}
	return out, nil
}

// serve answers with a file by its exact name: there is no folder to walk, so
// no path leads out of it.
func (f files) serve(w http.ResponseWriter, r *http.Request, name string) error {
	found, ok := f[name]
	if !ok {
		return failed(http.StatusNotFound, "there is no such file")
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache") // the next loomd may bring others
	h.Set("ETag", found.etag)
	if r.Header.Get("If-None-Match") == found.etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", found.kind)
	_, _ = w.Write(found.data) // the reader may be gone
	return nil
}

func (s *Server) static(w http.ResponseWriter, r *http.Request) error {
	return s.files.serve(w, r, r.PathValue("name"))
}
