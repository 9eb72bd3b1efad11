package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Alerts that say something about us (RFC 8446, section 6.2).
const (
	alertHandshakeFailure    = 40
	alertBadCertificate      = 42
	alertUnknownAuthority    = 48
	alertExpired             = 45
	alertProtocolVersion     = 70
	alertUnrecognizedName    = 112
	alertCertificateRequired = 116
	alertNoProtocol          = 120
)

var errBackendNoH2 = errors.New("it speaks TLS, but not HTTP/2 in it (no h2 by ALPN)")

// ExplainServer says plainly why there is no TLS with a server that should
// have the name given; other errors it returns as they are.
func ExplainServer(err error, name string) error {
	var header tls.RecordHeaderError
	var verification *tls.CertificateVerificationError
	var remote *net.OpError
	switch {
	case errors.As(err, &header):
		return errors.New("it does not speak TLS")
	case errors.As(err, &verification):
		return plainVerification(verification.Err, name)
	case errors.As(err, &remote) && remote.Op == "remote error":
		return explainAlert(remote.Err)
	}
	return err
}

// plainVerification says what is wrong with a certificate. The name is empty
// for that of a client.
func plainVerification(err error, name string) error {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &authority):
		issuer := "an authority"
		if c := authority.Cert; c != nil && c.Issuer.String() != "" {
			issuer = fmt.Sprintf("the authority %q", c.Issuer)
		}
		if name == "" {
			return fmt.Errorf("it is signed by %s, which client_ca_file does not have", issuer)
		}
		return fmt.Errorf("its certificate is signed by %s, which loomd does not trust; see ca_file", issuer)
	case errors.As(err, &host):
		return fmt.Errorf("its certificate is for %s, not for %s; see server_name", strings.Join(namesOr(host.Certificate), ", "), name)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		if lifetime := Lifetime(invalid.Cert, time.Now()); lifetime != nil {
			return lifetime
		}
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return errors.New("the certificate is not made for this side of a connection (extended key usage)")
	}
	return fmt.Errorf("its certificate: %s", strings.TrimPrefix(err.Error(), "x509: "))
}

func namesOr(c *x509.Certificate) []string {
	if all := names(c); len(all) > 0 {
		return all
	}
	return []string{"nobody"}
}

// explainAlert says what a server has against us. The type of an alert that
// came is not exported, but its text is that of the one which is.
func explainAlert(err error) error {
	is := func(alerts ...uint8) bool {
		return slices.ContainsFunc(alerts, func(a uint8) bool { return tls.AlertError(a).Error() == err.Error() })
	}
	switch {
	case is(alertCertificateRequired):
		return errors.New("it wants a client certificate; see cert_file and key_file")
	case is(alertBadCertificate, alertUnknownAuthority, alertExpired):
		return fmt.Errorf("it does not accept our client certificate (%w)", err)
	case is(alertNoProtocol):
		return errBackendNoH2
	case is(alertProtocolVersion, alertHandshakeFailure):
		return fmt.Errorf("it has no TLS version or cipher suite in common with us (%w)", err)
	case is(alertUnrecognizedName):
		return fmt.Errorf("it does not know the name; see server_name (%w)", err)
	}
	return fmt.Errorf("it ended the handshake (%w)", err)
}
