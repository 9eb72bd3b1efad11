package config

// admin looks for users who never get to the admin socket.
func (v *validator) admin() {
	if a := &v.cfg.Admin; len(a.ReadOnly) > 0 && a.Group == "" {
		v.source.doubt("admin.read_only", "give admin.group, and make them members",
			"without a group nobody but root and the user of loomd gets to the admin socket")
	}
}
