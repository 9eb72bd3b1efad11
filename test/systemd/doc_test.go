// Package systemd runs loomd under a real systemd, from the units that users
// install, by the commands that the README shows. systemd boots as the first
// process of namespaces of its own, on a copy of this machine's files that is
// thrown away: neither the machine's systemd nor its mounts or files are
// touched. It shares the network, so that the tests call loomd as clients do.
//
// How it ends: a keeper process starts systemd and kills it when the test is
// over, when the test binary is gone, or when its time is up. With the first
// process of a PID namespace all others in it die.
package systemd
