#!/bin/sh
# Installs the sensor into an environment of its own, and the files that systemd needs.
# Called by `make install`; with DESTDIR nothing outside it is touched (for packages).
set -eu
python=$1 destdir=$2 prefix=$3 unitdir=$4 sysusersdir=$5 tmpfilesdir=$6 sysconfdir=$7
here=$(dirname "$0")
root=$(dirname "$here")
target=$destdir$prefix

fail() {
    echo "make install: $1" >&2
    exit 1
}

case $prefix in
/*/*) ;;
*) fail "PREFIX is $prefix; choose a folder of its own, such as /opt/multa" ;;
esac
if [ -e "$target" ] && [ ! -e "$target/bin/multa-sensor" ] && [ -n "$(ls -A "$target")" ]; then
    fail "$target exists and holds something else; choose another PREFIX"
fi
# The unit hides home directories, and its user could not read them anyway.
case $("$python" -c 'import os, sys; print(os.path.realpath(sys._base_executable))') in
/home/* | /root/*)
    [ -n "$destdir" ] || fail "$python lives in a home directory, which the service can't read; \
use another, such as PYTHON=/usr/bin/python3"
    ;;
esac
if [ -z "$destdir" ] && [ "$(id -u)" != 0 ]; then
    fail "run it as root, or with DESTDIR=... to fill a folder"
fi

"$python" -m venv --clear "$target"
# Built from a copy: what root leaves behind in a clone is in its owner's way.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R "$root/pyproject.toml" "$root/README.md" "$root/LICENSE" "$root/sensor" "$root/trainer" "$copy"
"$target/bin/python" -m pip install -qq --disable-pip-version-check --no-input "$copy"
if [ -n "$destdir" ]; then
    # The environment will live elsewhere than where it was made.
    grep -rIl "$target" "$target/bin" "$target/pyvenv.cfg" | while read -r file; do
        sed -i "s|$target|$prefix|g" "$file"
    done
fi
mkdir -p "$target/share/multa/models" "$target/share/doc/multa"
for model in "$root"/models/*/; do
    [ -d "$model" ] && cp -R "$model" "$target/share/multa/models/"
done
cp "$root/README.md" "$root/LICENSE" "$target/share/doc/multa/"

# put SOURCE TARGET: installs a file, with the prefix that was asked for in it.
put() {
    mkdir -p "$(dirname "$2")"
    sed "s|/opt/multa|$prefix|g" "$here/$1" >"$2"
    chmod 0644 "$2"
}
put multa-sensor.service "$destdir$unitdir/multa-sensor.service"
put multa.sysusers.conf "$destdir$sysusersdir/multa.conf"
put multa.tmpfiles.conf "$destdir$tmpfilesdir/multa.conf"
[ -e "$destdir$sysconfdir/logrotate.d/multa" ] ||
    put multa.logrotate "$destdir$sysconfdir/logrotate.d/multa"
[ -e "$destdir$sysconfdir/multa/sensor.env" ] ||
    put sensor.env "$destdir$sysconfdir/multa/sensor.env"

echo "Installed $prefix${destdir:+ (in $destdir)}."
if [ -z "$destdir" ] && [ -d /run/systemd/system ]; then
    systemd-sysusers "$sysusersdir/multa.conf"
    systemd-tmpfiles --create "$tmpfilesdir/multa.conf"
    systemctl daemon-reload
    echo "Name the interface in $sysconfdir/multa/sensor.env, then:"
    echo "  systemctl enable --now multa-sensor && journalctl -fu multa-sensor"
fi
