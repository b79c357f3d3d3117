#!/bin/sh
# Installs what tests/debian-packages.txt lists, says what it does, and never fails: tests that
# lack a package are skipped and name it. Nothing is removed for it, and no daemon that comes with
# a package is left running: the tests start their own, in namespaces.
set -u
wanted=$(grep -v '^#' "$(dirname "$0")/debian-packages.txt")

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "Not a Debian-like system: tests that lack one of these are skipped:" $wanted
    exit 0
fi
missing=""
for package in $wanted; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null |
        grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "Tests that need these Debian packages are skipped (root installs them):$missing"
    exit 0
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends \
        --no-remove "$@" </dev/null >"$log" 2>&1
}

echo "Installing the Debian packages that the tests need:$missing"
# The package lists may be missing or old; one package may not be had, or be in another's way.
if ! install $missing; then
    apt-get update --quiet=2 >"$log" 2>&1 || cat "$log"
    if ! install $missing; then
        for package in $missing; do
            install "$package" || { echo "Not installed: $package"; tail -n 2 "$log"; }
        done
    fi
fi
if [ -d /run/systemd/system ]; then
    for package in $missing; do
        dpkg-query --listfiles "$package" 2>/dev/null |
            sed -n 's|^\(/usr\)*/lib/systemd/system/\([^@/]*\.service\)$|\2|p' |
            while read -r unit; do
                case $package in
                chrony | dnsmasq-base | mosquitto | stunnel4 | openssh-server) systemctl disable --now --quiet "$unit" ;;
                esac
            done
    done
fi
exit 0
