package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"loom/internal/config"
	"loom/internal/pki"
)

// maxTokenFile bounds what is read of a token file, in bytes: whoever names
// another file by mistake is told so.
const maxTokenFile = 4 << 10

// listenPage binds the address of the inspector. Browsers speak HTTP/1.1 on it,
// inside of TLS if there is a certificate. Report is told of one that changed
// and cannot be used.
func (b *binder) listenPage(in *config.Inspector, report func(error)) (net.Listener, error) {
	var secure *tls.Config
	if in.TLS != nil {
		pair, err := pki.LoadPair(in.TLS.CertFile, in.TLS.KeyFile, report)
		if err != nil {
			return nil, fmt.Errorf("inspector: load the certificate: %w", err)
		}
		secure = &tls.Config{GetCertificate: pair.GetCertificate, MinVersion: tls.VersionTLS12}
	}
	l, err := b.listen("inspector", in.Address, modes{})
	if err != nil {
		return nil, err
	}
	if secure != nil {
		return tls.NewListener(l, secure), nil
	}
	return l, nil
}

// readToken returns the token in a file, without the white space around it;
// empty if there is no file.
func readToken(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	f, err := os.Open(name) //nolint:gosec // the configuration names the file
	if err != nil {
		return "", fmt.Errorf("inspector: open the token file: %w", err)
	}
	all, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("inspector: read the token file: %w", err)
	}
	token := string(bytes.TrimSpace(all))
	switch {
	case len(all) > maxTokenFile:
		return "", fmt.Errorf("inspector: token file %s has more than %d bytes", name, maxTokenFile)
	case token == "":
		return "", fmt.Errorf("inspector: token file %s is empty", name)
	}
	return token, nil
}
