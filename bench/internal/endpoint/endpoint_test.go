package endpoint

import "testing"

func TestSpelling(t *testing.T) {
	plain, secure := "127.0.0.1:1", Secure("127.0.0.1:1")
	for address, url := range map[string]string{plain: "http://127.0.0.1:1/p", secure: "https://127.0.0.1:1/p"} {
		if got := URL(address, "/p"); got != url {
			t.Errorf("%s: the URL is %s, want %s", address, got, url)
		}
		if got := HostPort(address); got != plain {
			t.Errorf("%s: the host and port are %s", address, got)
		}
	}
	if p, s := Credentials(plain).Info().SecurityProtocol, Credentials(secure).Info().SecurityProtocol; p != "insecure" || s != "tls" {
		t.Errorf("the credentials are %s and %s", p, s)
	}
}
