#!/bin/sh
# Installs what the bench needs and is missing (as root, through apt-get), then
# builds and runs it. All arguments go to loombench: ./run.sh -quick -rows 1x100
set -eu
cd "$(dirname "$0")"
PATH=$PATH:/usr/sbin

missing=
command -v haproxy >/dev/null || missing="$missing haproxy"
command -v nginx >/dev/null || missing="$missing nginx"
command -v h2load >/dev/null || missing="$missing nghttp2-client"

# Debian starts a daemon when its package is installed. The bench wants the
# programs only, so starting is refused while apt-get runs. A policy that is
# already there is left alone.
install_packages() (
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		trap 'exit 130' INT TERM
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
)

if [ -n "$missing" ]; then
	if [ "$(id -u)" -ne 0 ]; then
		echo "bench: missing packages; as root: apt-get install$missing" >&2
		exit 1
	fi
	# shellcheck disable=SC2086 # a list of words
	install_packages $missing
fi

# A built program gets the signals itself; 'go run' would keep SIGTERM from it.
mkdir -p ../.tmp
go build -o ../.tmp/loombench ./cmd/loombench
exec ../.tmp/loombench "$@"
