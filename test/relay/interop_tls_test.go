package relay

import (
	"fmt"
	"testing"

	"loom/test/daemon"
)

// TestInteropTLS runs every case with TLS between client and loomd, between
// loomd and server, and through two loomds with TLS everywhere, of which the
// second wants a certificate of the first: the interop programs have none.
func TestInteropTLS(t *testing.T) {
	client, server := buildInterop(t)
	a := daemon.NewAuthority(t, "interop")
	local := a.For("loom.test", "127.0.0.1")
	certificate := fmt.Sprintf("cert_file: %q, key_file: %q", local.Cert, local.Key)
	trust := fmt.Sprintf("ca_file: %q", a.File)
	clients := fmt.Sprintf(", client_ca_file: %q, client_auth: require", a.File)
	plain := startInteropServer(t, server)
	secure := startInteropServer(t, server, "-use_tls", "-tls_cert_file="+local.Cert, "-tls_key_file="+local.Key)

	in := startEdge(t, fmt.Sprintf(", tls: {%s}", certificate), plain, "")
	out := startEdge(t, "", secure, fmt.Sprintf(", tls: {%s}", trust))
	second := startEdge(t, fmt.Sprintf(", tls: {%s%s}", certificate, clients), secure, fmt.Sprintf(", tls: {%s}", trust))
	mutual := startEdge(t, fmt.Sprintf(", tls: {%s}", certificate), second, fmt.Sprintf(", tls: {%s, %s}", trust, certificate))

	toTLS := []string{"-use_tls", "-use_test_ca", "-ca_file=" + a.File, "-server_host_override=loom.test"}
	for _, way := range []struct {
		name, address string
		args          []string
	}{{"in", in, toTLS}, {"out", out, nil}, {"mutual", mutual, toTLS}} {
		for _, test := range interopCases {
			t.Run(way.name+"/"+test.name, func(t *testing.T) {
				args := append([]string{"-test_case=" + test.name}, test.args...)
				runInterop(t, client, way.address, append(args, way.args...)...)
			})
		}
	}
}

// startEdge runs a loomd with one listener and one backend, and what stands
// further in their blocks, and returns its address.
func startEdge(t *testing.T, listener, backend, tls string) string {
	t.Helper()
	address := daemon.FreeAddress(t)
	config := daemon.WriteConfig(t, fmt.Sprintf(`
listeners:
  - {name: edge, address: %q%s}
backends:
  main: {targets: [%q]%s}
routes:
  - {name: everything, backend: main}
`, address, listener, backend, tls))
	process := loomd.Start(t, "-config", config, "-quiet")
	process.WaitListening(t, address)
	return address
}
