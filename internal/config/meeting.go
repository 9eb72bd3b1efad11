package config

// meeting finds, among addresses, one that meets another. They are filed by
// port or path, so that thousands of targets cost no more than their number.
type meeting struct {
	byPort map[int][]boundAddress
	byPath map[string]boundAddress
}

func newMeeting() *meeting {
	return &meeting{byPort: map[int][]boundAddress{}, byPath: map[string]boundAddress{}}
}

func (m *meeting) add(b boundAddress) {
	switch b.endpoint.network {
	case "tcp":
		m.byPort[b.endpoint.port] = append(m.byPort[b.endpoint.port], b)
	case "unix":
		m.byPath[b.endpoint.host] = b
	}
}

// find returns an address that cannot be listened on together with e.
func (m *meeting) find(e endpoint) (boundAddress, bool) {
	return m.first(e, endpoint.meets)
}

// reach returns an address that dialling e reaches for certain.
func (m *meeting) reach(e endpoint) (boundAddress, bool) {
	return m.first(e, endpoint.reaches)
}

func (m *meeting) first(e endpoint, same func(a, b endpoint) bool) (boundAddress, bool) {
	if e.network == "unix" {
		b, ok := m.byPath[e.host]
		return b, ok
	}
	for _, b := range m.byPort[e.port] {
		if same(e, b.endpoint) {
			return b, true
		}
	}
	return boundAddress{}, false
}
