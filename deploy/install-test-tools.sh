#!/bin/sh
# Installs what the tests need beyond Python: promtool, which checks rules and runs their tests, Prometheus and
# Alertmanager themselves, which watch gates in drills, and Java (a JDK,
# for the peer that is written in it) with Maven, which fetch and run Apache Kafka, and kcat, whose commands docs/clients.md
# has. Does nothing for what is already on the path.
#
# Of Debian's packages `prometheus` and `prometheus-alertmanager` only the programs are taken: installing the packages
# would also enable and perhaps start services. A test starts its own, on loopback, and ends it.
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

destination="${1:-/usr/local/bin}"

# Programs of a Debian package, without the package's service: take PACKAGE PROGRAM...
take() {
    package="$1"
    shift
    for program in "$@"; do
        if ! command -v "$program" >/dev/null 2>&1; then
            work="$(mktemp -d)"
            update
            # apt checks the package against the signed list before it is unpacked. Its sandbox user must be able to write here.
            chmod 755 "$work"
            (cd "$work" && apt-get -o APT::Sandbox::User=root download -q "$package")
            dpkg-deb --extract "$work/$package"_*.deb "$work/unpacked"
            for each in "$@"; do
                install -D -m 755 "$work/unpacked/usr/bin/$each" "$destination/$each"
            done
            # Debian's Alertmanager does not start without its templates, which it looks for only there.
            for each in "$work"/unpacked/usr/share/prometheus/alertmanager/*.tmpl; do
                [ ! -f "$each" ] || install -D -m 644 "$each" "/usr/share/prometheus/alertmanager/${each##*/}"
            done
            rm -rf "$work"
            return
        fi
    done
}
PATH="$PATH:$destination"
take prometheus promtool prometheus
take prometheus-alertmanager prometheus-alertmanager amtool

promtool --version 2>&1 | head -n 1
