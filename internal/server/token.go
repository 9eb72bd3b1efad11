package server

import (
	"errors"
	"fmt"

	"go.uber.org/zap"
)

// The section of the inspector's token, so that pages that are open stay logged
// in: their cookie is made of it.
const (
	tokenSection = "inspector"
	tokenVersion = 1
)

// maxToken bounds a token in bytes, and minToken is what the inspector wants.
const (
	minToken = 16
	maxToken = 256
)

// saveToken writes down the token, if it is in no file.
func (w *watch) saveToken() ([]byte, error) {
	if w.inspector == nil || !w.tokenMade {
		return nil, nil
	}
	return []byte(w.inspector.Token()), nil
}

// tokenBefore returns the token of the process before; empty if there is none.
func tokenBefore(from Estate, log *zap.Logger) string {
	if from == nil {
		return ""
	}
	saved, ok := from.Section(tokenSection)
	if !ok || len(saved.Data) == 0 {
		return ""
	}
	if err := checkToken(saved); err != nil {
		log.Warn("state of the process before is not taken over", zap.String("section", tokenSection), zap.Error(err))
		return ""
	}
	return string(saved.Data)
}

func checkToken(s Saved) error {
	if s.Version != tokenVersion {
		return fmt.Errorf("it has version %d, this loomd reads %d", s.Version, tokenVersion)
	}
	if len(s.Data) < minToken || len(s.Data) > maxToken {
		return fmt.Errorf("a token has %d to %d bytes, not %d", minToken, maxToken, len(s.Data))
	}
	for _, c := range s.Data {
		if c <= ' ' || c > '~' {
			return errors.New("a token has letters and digits")
		}
	}
	return nil
}
