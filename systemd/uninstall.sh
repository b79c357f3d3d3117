#!/bin/sh
# Removes what `make install` made, by the same variables. Configuration, alert logs and users stay.
set -eu
target=$DESTDIR$PREFIX
units="multa-sensor multa-tap multa-analyser multa-forward"

if [ ! -e "$target/bin/multa-sensor" ] || [ ! -e "$target/pyvenv.cfg" ]; then
    echo "make uninstall: $target is not what 'make install' makes; nothing is removed" >&2
    exit 1
fi
for unit in $units; do
    if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
        systemctl disable --quiet --now "$unit.service" || true
    fi
    rm -f "$DESTDIR$UNITDIR/$unit.service"
done
rm -rf "$target"
rm -f "$DESTDIR$SYSUSERSDIR/multa.conf" "$DESTDIR$TMPFILESDIR/multa.conf" \
    "$DESTDIR$SYSCONFDIR/logrotate.d/multa" \
    "$DESTDIR$BINDIR/multa-sensor" \
    "$DESTDIR$DATADIR/bash-completion/completions/multa-sensor" \
    "$DESTDIR$DATADIR/zsh/vendor-completions/_multa-sensor" \
    "$DESTDIR$DATADIR/fish/vendor_completions.d/multa-sensor.fish" \
    "$DESTDIR$MANDIR/man1/multa-sensor.1" "$DESTDIR$MANDIR/man1"/multa-sensor-*.1 \
    "$DESTDIR$MANDIR/man1/multa-trainer.1" "$DESTDIR$MANDIR/man5/sensor.toml.5"
if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    rm -rf /run/multa
fi
echo "Removed $PREFIX. Left in place: $SYSCONFDIR/multa, /var/log/multa, /var/lib/multa, and the users."
