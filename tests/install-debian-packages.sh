#!/bin/sh
# Installs what tests/debian-packages.txt lists, says what it does, and never fails: tests that
# lack a package are skipped and name it.
set -u
list="$(dirname "$0")/debian-packages.txt"

missing=""
if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    for package in $(grep -v '^#' "$list"); do
        dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null |
            grep -q 'ok installed' || missing="$missing $package"
    done
else
    echo "Not a Debian-like system: tests that lack one of these are skipped:" \
        $(grep -v '^#' "$list")
    exit 0
fi
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "Tests that need these Debian packages are skipped:$missing"
    echo "(as root, 'make test' installs them)"
    exit 0
fi

install() {
    # shellcheck disable=SC2086 -- a list of names
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends \
        $missing </dev/null
}

echo "Installing the Debian packages that the tests need:$missing"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
if ! install >"$log" 2>&1; then
    # The package lists may be missing or old.
    { apt-get update --quiet=2 && install; } >"$log" 2>&1 || {
        cat "$log"
        echo "They could not be installed; tests that need them are skipped."
    }
fi
