#!/bin/sh
# Installs what the tests need beyond Python: promtool, which checks rules and runs their tests.
#
# Only the program is taken out of Debian's package `prometheus`. Installing the package would also install, enable and
# perhaps start a server, which no test needs. Does nothing where promtool is already on the path.
set -eu

if command -v promtool >/dev/null 2>&1; then
    promtool --version 2>&1 | head -n 1
    exit 0
fi

destination="${1:-/usr/local/bin}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

apt-get update -q
# apt checks the package against the signed list before it is unpacked. Its sandbox user must be able to write here.
chmod 755 "$work"
(cd "$work" && apt-get -o APT::Sandbox::User=root download -q prometheus)
dpkg-deb --extract "$work"/prometheus_*.deb "$work/unpacked"
install -D -m 755 "$work/unpacked/usr/bin/promtool" "$destination/promtool"
"$destination/promtool" --version 2>&1 | head -n 1
