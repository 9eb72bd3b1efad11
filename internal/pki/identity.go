package pki

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
)

// Identity names the client of a connection by its certificate: the SPIFFE ID
// if it has one, else its first DNS name, else the common name of its subject.
// It is empty without a certificate, and for one that was not verified.
//
// DNS names and the trust domain of a SPIFFE ID are in lower case.
func Identity(cs *tls.ConnectionState) string {
	if len(cs.VerifiedChains) == 0 || len(cs.PeerCertificates) == 0 {
		return ""
	}
	return identityOf(cs.PeerCertificates[0])
}

func identityOf(leaf *x509.Certificate) string {
	for _, u := range leaf.URIs {
		if strings.EqualFold(u.Scheme, "spiffe") {
			id := *u
			id.Scheme, id.Host = "spiffe", strings.ToLower(u.Host)
			return printable(id.String())
		}
	}
	if len(leaf.DNSNames) > 0 {
		return printable(strings.ToLower(leaf.DNSNames[0]))
	}
	return printable(leaf.Subject.CommonName)
}

// maxIdentity is how long a name may be to be an identity, in bytes: the SPIFFE
// standard allows no more, and it is kept with each call.
const maxIdentity = 2048

// printable keeps what may stand in metadata: an authority may have signed
// anything. A name with other characters in it is no identity, so that none can
// be made to look like another.
func printable(s string) string {
	if len(s) > maxIdentity {
		return ""
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return ""
		}
	}
	return strings.TrimSpace(s)
}
