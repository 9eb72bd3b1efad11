#!/bin/sh
# Brings what the tests need beyond Go: a C compiler for the race detector, git
# and the clients of other stacks that loomd is tried with. As root on Debian it
# installs what is missing; else it names it and stops. A second run does
# nothing and asks no network.
set -eu
cd "$(dirname "$0")"

missing=
need() { # need PACKAGES COMMAND...: the packages, unless the command succeeds
	packages=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $packages"
}
have() { command -v "$1"; }

# Debian's python3-grpcio belongs to Debian's python3, whatever PATH says.
need "git" have git
need "gcc libc6-dev" have gcc
need "python3 python3-grpcio" /usr/bin/python3 -c 'import grpc'
need "nodejs" have node
need "npm" have npm

# The units are tried with a real systemd, in namespaces of its own.
need "systemd" test -x /usr/lib/systemd/systemd
need "util-linux" have nsenter

# The page of the inspector is tried in a browser, which needs letters to draw.
need "chromium" have chromium
need "fonts-dejavu-core" test -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
need "fonts-noto-color-emoji" test -e /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf

if [ -n "$missing" ]; then
	if [ "$(id -u)" -ne 0 ] || ! have apt-get >/dev/null; then
		echo "deps: missing; as root on Debian run: apt-get install$missing" >&2
		exit 1
	fi
	apt-get update -qq
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
fi

# npm ci starts over each time, so the lock file that it went by is kept beside
# what it installed.
for folder in relay/js web browser; do
	if ! cmp -s $folder/package-lock.json $folder/node_modules/installed-lock.json; then
		(cd $folder && npm ci --no-audit --no-fund --loglevel=error)
		cp $folder/package-lock.json $folder/node_modules/installed-lock.json
	fi
done
