#!/bin/sh
# Removes what `make install` made. Configuration, alert logs and the user stay.
set -eu
destdir=$1 prefix=$2 unitdir=$3 sysusersdir=$4 tmpfilesdir=$5 sysconfdir=$6
target=$destdir$prefix

if [ ! -e "$target/bin/multa-sensor" ] || [ ! -e "$target/pyvenv.cfg" ]; then
    echo "make uninstall: $target is not what 'make install' makes; nothing is removed" >&2
    exit 1
fi
if [ -z "$destdir" ] && [ -d /run/systemd/system ]; then
    systemctl disable --now multa-sensor.service || true
fi
rm -rf "$target"
rm -f "$destdir$unitdir/multa-sensor.service" "$destdir$sysusersdir/multa.conf" \
    "$destdir$tmpfilesdir/multa.conf" "$destdir$sysconfdir/logrotate.d/multa"
if [ -z "$destdir" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
echo "Removed $prefix. Left in place: $sysconfdir/multa, /var/log/multa, /var/lib/multa, user multa."
