#!/bin/sh
# Builds out/multa_VERSION_ARCHITECTURE.deb: what `make install` installs, with dpkg looking after
# it. Called by `make deb`. The package is for the release of Debian that it is built on, as its
# environment has that release's Python.
set -eu
cd "$(dirname "$0")/.."
stage=$PWD/out/deb

interpreter=$("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys._base_executable))')
if [ "$(dpkg-query -S "$interpreter" 2>/dev/null | cut -d: -f1)" = "" ]; then
    echo "make deb: $interpreter is not of a Debian package, so none could depend on it; use" \
        "PYTHON=/usr/bin/python3" >&2
    exit 1
fi
minor=$("$PYTHON" -c 'import sys; print(sys.version_info[1])')
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' sensor/__init__.py)
architecture=$(dpkg --print-architecture)
# The same source gives the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

rm -rf "$stage"
mkdir -p "$stage"
# Nothing can be added to the environment later, so it has what any function of the sensor needs.
DESTDIR=$stage BINDIR=/usr/bin MANDIR=/usr/share/man EXTRAS=${EXTRAS:-forward,signatures} \
    systemd/install.sh
# dpkg brings new versions; nothing is installed into the environment beside it.
"$stage$PREFIX/bin/python" -m pip uninstall -qq --yes --root-user-action=ignore pip setuptools
find "$stage$PREFIX/bin" -type f ! -name multa-sensor -delete
rm -f "$stage/usr/share/man/man1/multa-trainer.1"
# What wheels carry for those who compile against them, for other hardware, and their own tests.
find "$stage$PREFIX/lib" -type d \( -path '*/numpy/*/tests' -o -path '*/numpy/tests' \
    -o -path '*/numpy/_core/include' -o -path '*/numpy/_core/lib' -o -path '*/numpy/f2py' \
    -o -path '*/ai_edge_litert/vendors' -o -path '*/ai_edge_litert/tools' \) -prune -exec rm -rf {} +
# Some wheels mark all their files as programs.
find "$stage$PREFIX/lib" -type f -exec chmod 0644 {} +
find "$stage/usr/share/man" -type f -exec gzip -9n {} +

documents=$stage/usr/share/doc/multa
mkdir -p "$documents" "$stage/usr/share/lintian/overrides" "$stage/DEBIAN"
{
    echo "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
    echo
    echo "Files: *"
    echo "Copyright: $(sed -n 's/^Copyright (c) //p' LICENSE)"
    echo "License: Expat"
    sed -e '1,/^Copyright/d' -e 's/^$/./' -e 's/^/ /' LICENSE | sed '1{/^ \.$/d}'
    echo
    echo "Files: opt/multa/lib/*"
    echo "Copyright: the authors of numpy, click, dpkt and LiteRT"
    echo "License: various"
    echo " See the folders *.dist-info in opt/multa/lib/python3.$minor/site-packages."
} >"$documents/copyright"
{
    echo "multa ($version) stable; urgency=medium"
    echo
    echo "  * See CHANGELOG.md in $PREFIX/share/doc/multa."
    echo
    echo " -- MULTA <multa@localhost>  $(date -uR -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$documents/changelog.gz"
cp packaging/lintian-overrides "$stage/usr/share/lintian/overrides/multa"

for script in postinst prerm postrm; do
    install -m 0755 "packaging/$script" "$stage/DEBIAN/$script"
done
(cd "$stage" && find etc -type f -printf '/%p\n' | sort) >"$stage/DEBIAN/conffiles"
(cd "$stage" && find opt usr -type f -print0 | sort -z | xargs -0 md5sum) >"$stage/DEBIAN/md5sums"
cat >"$stage/DEBIAN/control" <<END
Package: multa
Version: $version
Architecture: $architecture
Maintainer: MULTA <multa@localhost>
Section: net
Priority: optional
Installed-Size: $(du -sk --exclude=DEBIAN "$stage" | cut -f1)
Depends: python3 (>= 3.$minor~), python3 (<< 3.$((minor + 1))~), libc6 (>= 2.31), libstdc++6, systemd
Recommends: logrotate
Description: packet sensor for IoT gateways
 Watches network interfaces, looks at the first packets of each flow (sizes,
 times, directions, a few header fields, never payload), and lets one small
 neural network say whether a flow belongs to any of several attacks. What
 belongs together becomes one incident; incidents are JSON lines in the format
 of Suricata's EVE log. Nothing is sent anywhere.
 .
 The service is started once /etc/multa/sensor.toml names an interface and a
 person enables it.
END
find "$stage" -type d -exec chmod 0755 {} +
find "$stage" -newermt "@$SOURCE_DATE_EPOCH" -print0 |
    xargs -0r touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
package=out/multa_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zxz --build "$stage" "$package" >/dev/null
rm -rf "$stage"
echo "$package"
