// Package endpoint spells how the bench reaches a peer: HOST:PORT in clear
// text, or tls://HOST:PORT.
package endpoint

import (
	"crypto/tls"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

const secure = "tls://"

// Secure returns the address spelt for TLS.
func Secure(hostPort string) string { return secure + hostPort }

// HostPort returns the address without how it is spoken to.
func HostPort(address string) string { return strings.TrimPrefix(address, secure) }

// Credentials are for gRPC clients. What a peer proves is checked nowhere: all
// of them have the same certificate, which the bench made.
func Credentials(address string) credentials.TransportCredentials {
	if !strings.HasPrefix(address, secure) {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
}

// URL is for HTTP clients.
func URL(address, path string) string {
	if rest, ok := strings.CutPrefix(address, secure); ok {
		return "https://" + rest + path
	}
	return "http://" + address + path
}
