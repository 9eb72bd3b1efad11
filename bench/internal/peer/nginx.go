package peer

import (
	"fmt"
	"os"
	"path/filepath"
)

// nginxConfig: as many workers as the bench gives threads to the others, kept
// upstream connections that are never retired, no logs, and a read-ahead for
// request bodies as wide as the windows of the other peers.
const nginxConfig = `daemon off;
user root root;
worker_processes 2;
worker_rlimit_nofile 20000;
pid %[1]s/nginx.pid;
error_log stderr error;
events {
  worker_connections 16384;
}
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  client_max_body_size 0;
  client_body_timeout 1h;
  send_timeout 1h;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  http2_max_concurrent_streams 1000;
  http2_body_preread_size 1m;
  http2_chunk_size 16k;
  upstream up {
    server %[3]s;
    keepalive 1024;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
  }
  server {
    listen %[2]s http2 reuseport;
    location / {
      grpc_pass grpc://up;
      grpc_buffer_size 64k;
      grpc_read_timeout 1h;
      grpc_send_timeout 1h;
    }
  }
}
`

func prepareNginx(p place) (command, error) {
	path, err := nginxPath()
	if err != nil {
		return command{}, err
	}
	file := filepath.Join(p.dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, nginxConfig, p.dir, p.listen, p.backend), 0o600); err != nil {
		return command{}, fmt.Errorf("configure nginx: %w", err)
	}
	return command{path: path, args: []string{"-e", "stderr", "-p", p.dir, "-c", file}}, nil
}

func nginxPath() (string, error) { return find("nginx", "nginx") }

func nginxVersion(place) (string, error) {
	path, err := nginxPath()
	if err != nil {
		return "", err
	}
	return firstLine(path, "-v")
}
