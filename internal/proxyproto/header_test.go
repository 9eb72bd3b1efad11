package proxyproto

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

// v2 is a header of version 2.
func v2(command, family byte, body ...byte) string {
	b := append([]byte(signature), command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return string(append(b, body...))
}

func addresses(source, destination string) []byte {
	a, b := netip.MustParseAddrPort(source), netip.MustParseAddrPort(destination)
	out := append(a.Addr().AsSlice(), b.Addr().AsSlice()...)
	out = binary.BigEndian.AppendUint16(out, a.Port())
	return binary.BigEndian.AppendUint16(out, b.Port())
}

func with(a []byte, more ...byte) []byte { return append(a, more...) }

const after = "PRI * HTTP/2.0"

// What a header says, and that nothing behind it is taken.
func TestHeaders(t *testing.T) {
	four, six := addresses("192.0.2.1:56324", "198.51.100.2:443"), addresses("[2001:db8::1]:56324", "[2001:db8::2]:443")
	for name, tt := range map[string]struct{ header, want string }{
		"v1 TCP4":                   {"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "192.0.2.1:56324"},
		"v1 TCP6":                   {"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", "[2001:db8::1]:56324"},
		"v1 the longest TCP6":       {"PROXY TCP6 LONGEST-1 LONGEST-2 65535 65535\r\n", ""},
		"v1 unknown":                {"PROXY UNKNOWN\r\n", ""},
		"v1 unknown with addresses": {"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", ""},
		"v2 TCP4":                   {v2(versionProxy, tcp4, four...), "192.0.2.1:56324"},
		"v2 TCP6":                   {v2(versionProxy, tcp6, six...), "[2001:db8::1]:56324"},
		"v2 UDP4":                   {v2(versionProxy, udp4, four...), "192.0.2.1:56324"},
		"v2 with TLVs":              {v2(versionProxy, tcp4, with(four, 1, 0, 2, 'h', '2', 4, 0, 0)...), "192.0.2.1:56324"},
		"v2 Unix":                   {v2(versionProxy, unixStream, make([]byte, 216)...), ""},
		"v2 local":                  {v2(versionLocal, 0), ""},
		"v2 local with rubbish":     {v2(versionLocal, tcp4, 1, 2, 3), ""},
		"v2 unspecified":            {v2(versionProxy, 0), ""},
		"v2 of the future":          {v2(versionProxy, 0x47, 1, 2, 3), ""},
	} {
		if strings.Contains(tt.header, "LONGEST") {
			longest := strings.Repeat("ffff:", 7) + "ffff"
			tt.header = strings.NewReplacer("LONGEST-1", longest, "LONGEST-2", longest).Replace(tt.header)
			tt.want = "[" + longest + "]:65535"
		}
		for how, r := range map[string]io.Reader{
			"at once":       strings.NewReader(tt.header + after),
			"byte for byte": iotest.OneByteReader(strings.NewReader(tt.header + after)),
		} {
			h, err := Read(r)
			if err != nil || h.Source != tt.want {
				t.Errorf("%s, %s: %q and %v, want %q", name, how, h.Source, err, tt.want)
				continue
			}
			if rest, _ := io.ReadAll(r); string(rest) != after {
				t.Errorf("%s, %s: what is left is %q", name, how, rest)
			}
		}
	}
}

func TestMalformedHeaders(t *testing.T) {
	four := addresses("192.0.2.1:1", "192.0.2.2:2")
	for header, want := range map[string]string{
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                         "does not begin with a PROXY header",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00": "does not begin with a PROXY header",
		"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n":                   "does not begin with a PROXY header",
		"":                                                         "EOF",
		"PROXY":                                                    "EOF",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2":                       "EOF",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n":                     "byte 0x0a",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n":                     "4 words",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n":                 "6 words",
		"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n":                  "6 words",
		"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n":                   `family "TCP5"`,
		"PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n":                 "source address",
		"PROXY TCP6 2001:db8::1 192.0.2.2 1 2\r\n":                 "destination address",
		"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n":                  "source address",
		"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n":                  "source address",
		"PROXY TCP4 host.test 192.0.2.2 1 2\r\n":                   "source address",
		"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n":               "source port",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 -2\r\n":                  "destination port",
		"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n":                  "source port",
		"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n":                  "source port",
		"PROXY TCP4 192.0.2.1\x00192.0.2.2 1 2\r\n":                "byte 0x00",
		"PROXY UNKNOWN " + strings.Repeat("x", 100):                "longer than 107",
		v2(0x11, tcp4, four...):                                    "version and command 0x11",
		v2(0x22, tcp4, four...):                                    "version and command 0x22",
		v2(versionProxy, tcp4, four[:11]...):                       "too few",
		v2(versionProxy, tcp6, four...):                            "too few",
		v2(versionProxy, unixStream, four...):                      "too few",
		v2(versionProxy, tcp4, with(four, 1, 0)...):                "2 bytes where a TLV belongs",
		v2(versionProxy, tcp4, with(four, 1, 0, 9)...):             "a TLV of 12 bytes",
		v2(versionProxy, tcp4, four...)[:20]:                       "EOF",
		v2(versionProxy, tcp4, make([]byte, 5000)...):              "more than 4096",
		signature + "\x21":                                         "EOF",
	} {
		if h, err := Read(strings.NewReader(header)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v and %v, want %q", header, h, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nx"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(v2(versionProxy, tcp6, addresses("[::1]:1", "[::2]:2")...)))
	f.Add([]byte(v2(versionLocal, 0)))
	f.Fuzz(func(t *testing.T, all []byte) {
		r := bytes.NewReader(all)
		h, err := Read(r)
		if taken := len(all) - r.Len(); taken > len(signature)+4+maxBody {
			t.Errorf("it took %d bytes", taken)
		}
		if err != nil || h.Source == "" {
			return
		}
		a, err := netip.ParseAddrPort(h.Source)
		if err != nil {
			t.Fatalf("the source is %q", h.Source)
		}
		// It says the same of a client when it is written anew.
		family, other := "TCP6", "::1"
		if a.Addr().Is4() {
			family, other = "TCP4", "127.0.0.1"
		}
		line := strings.Join([]string{"PROXY", family, a.Addr().String(), other, h.Source[strings.LastIndexByte(h.Source, ':')+1:], "1"}, " ") + "\r\n"
		if again, err := Read(strings.NewReader(line)); err != nil || again != h {
			t.Errorf("%q says %+v and %v, want %+v", line, again, err, h)
		}
	})
}
