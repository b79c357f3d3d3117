#!/bin/sh
# Installs the sensor into an environment of its own, and the files that systemd, shells, man and
# logrotate look for. Called by `make install`, which sets the variables; with DESTDIR nothing
# outside it is touched (for packages).
set -eu
here=$(dirname "$0")
root=$(dirname "$here")
target=$DESTDIR$PREFIX

fail() {
    echo "make install: $1" >&2
    exit 1
}

case $PREFIX in
/*/*) ;;
*) fail "PREFIX is $PREFIX; choose a folder of its own, such as /opt/multa" ;;
esac
if [ -e "$target" ] && [ ! -e "$target/bin/multa-sensor" ] && [ -n "$(ls -A "$target")" ]; then
    fail "$target exists and holds something else; choose another PREFIX"
fi
# The unit hides home directories, and its user could not read them anyway.
case $("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys._base_executable))') in
/home/* | /root/*)
    [ -n "$DESTDIR" ] || fail "$PYTHON lives in a home directory, which the service can't read; \
use another, such as PYTHON=/usr/bin/python3"
    ;;
esac
if [ -z "$DESTDIR" ] && [ "$(id -u)" != 0 ]; then
    fail "run it as root, or with DESTDIR=... to fill a folder"
fi
# Whoever installs may have a strict umask; the service's users must be able to read all of it.
umask 022

"$PYTHON" -m venv --clear "$target"
# Built from a copy: what root leaves behind in a clone is in its owner's way.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R "$root/pyproject.toml" "$root/README.md" "$root/LICENSE" "$root/sensor" "$root/trainer" "$copy"
"$target/bin/python" -m pip install -qq --disable-pip-version-check --no-input --no-compile \
    "$copy${EXTRAS:+[$EXTRAS]}"
"$target/bin/python" "$root/packaging/manual.py" "$DESTDIR$MANDIR"
if [ -n "$DESTDIR" ]; then
    # The environment will live elsewhere than where it was made.
    grep -rIl "$target" "$target/bin" "$target/pyvenv.cfg" | while read -r file; do
        sed -i "s|$target|$PREFIX|g" "$file"
    done
fi
# Nobody may write byte code later, and without it every start would take longer.
find "$target" -name __pycache__ -type d -prune -exec rm -rf {} +
"$target/bin/python" -m compileall -q ${DESTDIR:+-s "$DESTDIR"} "$target/lib"
mkdir -p "$target/share/multa/models" "$target/share/doc/multa"
for model in "$root"/models/*/; do
    [ -d "$model" ] && cp -R "$model" "$target/share/multa/models/"
done
cp "$root/README.md" "$root/LICENSE" "$root/CHANGELOG.md" "$root"/docs/*.md "$target/share/doc/multa/"

# put SOURCE TARGET: installs a file, with the prefix that was asked for in it.
put() {
    mkdir -p "$(dirname "$2")"
    sed "s|/opt/multa|$PREFIX|g" "$root/$1" >"$2"
    chmod 0644 "$2"
}
for unit in multa-sensor multa-tap multa-analyser multa-forward; do
    put "systemd/$unit.service" "$DESTDIR$UNITDIR/$unit.service"
done
put systemd/multa.sysusers.conf "$DESTDIR$SYSUSERSDIR/multa.conf"
put systemd/multa.tmpfiles.conf "$DESTDIR$TMPFILESDIR/multa.conf"
put packaging/completion.bash "$DESTDIR$DATADIR/bash-completion/completions/multa-sensor"
put packaging/completion.zsh "$DESTDIR$DATADIR/zsh/vendor-completions/_multa-sensor"
put packaging/completion.fish "$DESTDIR$DATADIR/fish/vendor_completions.d/multa-sensor.fish"
mkdir -p "$DESTDIR$BINDIR"
ln -sf "$PREFIX/bin/multa-sensor" "$DESTDIR$BINDIR/multa-sensor"
# What a person may have changed stays.
[ -e "$DESTDIR$SYSCONFDIR/logrotate.d/multa" ] ||
    put systemd/multa.logrotate "$DESTDIR$SYSCONFDIR/logrotate.d/multa"
[ -e "$DESTDIR$SYSCONFDIR/multa/sensor.toml" ] ||
    put systemd/sensor.toml "$DESTDIR$SYSCONFDIR/multa/sensor.toml"

echo "Installed $PREFIX${DESTDIR:+ (in $DESTDIR)}."
if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
    systemd-sysusers "$SYSUSERSDIR/multa.conf"
    systemd-tmpfiles --create "$TMPFILESDIR/multa.conf"
    systemctl daemon-reload
    echo "Name the interface in $SYSCONFDIR/multa/sensor.toml, then:"
    echo "  systemctl enable --now multa-sensor && journalctl -fu multa-sensor"
fi
