#!/bin/sh
# Installs what the tests need beyond Python: promtool, which checks rules and runs their tests, Prometheus itself, which
# watches a gate in a drill, and Java (a JDK,
# for the peer that is written in it) with Maven, which fetch and run Apache Kafka, and kcat, whose commands docs/clients.md
# has. Does nothing for what is already on the path.
#
# Of Debian's package `prometheus` only the two programs are taken: installing the package would also enable and perhaps
# start a service. A test starts its own, on loopback, and ends it.
set -eu

updated=
update() {
    [ -n "$updated" ] || apt-get update -q
    updated=yes
}

if ! command -v javac >/dev/null 2>&1 || ! command -v mvn >/dev/null 2>&1; then
    update
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends openjdk-17-jdk-headless maven
fi

# systemd-analyze, which reads units. Nothing of it is started. unshare is of a package that every Debian has.
if ! command -v systemd-analyze >/dev/null 2>&1; then
    update
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends systemd
fi

if ! command -v kcat >/dev/null 2>&1; then
    update
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends kcat
fi

if ! command -v promtool >/dev/null 2>&1 || ! command -v prometheus >/dev/null 2>&1; then
    destination="${1:-/usr/local/bin}"
    work="$(mktemp -d)"
    trap 'rm -rf "$work"' EXIT
    update
    # apt checks the package against the signed list before it is unpacked. Its sandbox user must be able to write here.
    chmod 755 "$work"
    (cd "$work" && apt-get -o APT::Sandbox::User=root download -q prometheus)
    dpkg-deb --extract "$work"/prometheus_*.deb "$work/unpacked"
    install -D -m 755 "$work/unpacked/usr/bin/promtool" "$destination/promtool"
    install -D -m 755 "$work/unpacked/usr/bin/prometheus" "$destination/prometheus"
    PATH="$destination:$PATH"
fi

promtool --version 2>&1 | head -n 1
