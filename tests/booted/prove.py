"""The service under a real systemd: booted containers, and a page of what was seen in them.

``python tests/booted/prove.py --package FILE.deb --page docs/results/systemd.md``, as root. With
``--new-user`` the way of the README is gone too, on a Debian that has nothing yet, over the
machine's own network: what it installs comes from Debian's and Python's usual servers.
"""

import argparse
import contextlib
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import click
import netns
import new_user
import service
import two_units
from container import Container, debian
from gateway import Gateway

ROOTS = Path("out/booted")
HEAD = """\
# The service under a real systemd

`make verify TARGET=systemd`: Debian {debian} in a container (systemd {systemd}, kernel {kernel}), \
the Debian package of this repository installed in it, a virtual cable as its only network. Every \
row is asserted, not only shown. How long a new user waits depends on how far Debian's mirror and \
Python's index are. MemoryMax and TasksMax are not enforced in such a container, as \
it has no controllers of its own. {date}.

| what | seen | |
|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """What was to be proved, what was seen, and whether that proves it."""

    what: str
    seen: str
    held: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Proves everything, writes the page, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--package", type=Path, required=True, help="the Debian package")
    parser.add_argument("--page", type=Path, required=True, help="where the results go")
    parser.add_argument("--new-user", action="store_true", help="go the README's way as well")
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    with booted(options.package) as gateway:
        facts = {
            "debian": gateway.container.tell("cat /etc/debian_version"),
            "systemd": gateway.container.tell("systemctl --version").split()[1],
            "kernel": platform.release().split("-")[0],
            "date": datetime.now(timezone.utc).date(),
        }
        proofs = (*service.PROOFS, *two_units.PROOFS, *service.LAST_PROOFS)
        rows += [tried(proof, gateway) for proof in proofs]
    if options.new_user:
        rows += [tried(proof, Path.cwd()) for proof in new_user.PROOFS]
    text = HEAD.format(**facts)
    for row in rows:
        text += f"| {row.what} | {row.seen} | {'yes' if row.held else '**no**'} |\n"
    options.page.write_text(text)
    click.echo(f"{options.page}: {sum(row.held for row in rows)} of {len(rows)} hold")
    return 0 if all(row.held for row in rows) else 1


@contextlib.contextmanager
def booted(package: Path) -> Iterator[Gateway]:
    """A gateway with the package lying ready in it."""
    root = debian(ROOTS, ("python3", "logrotate"))
    binds = [f"{package.resolve()}:/srv/multa.deb"]
    with netns.link() as cable:
        container = Container(root, cable.far, binds)
        with contextlib.closing(container):
            yield Gateway(container, cable)


def tried(proof: Callable[..., str], about: object) -> Row:
    """Runs a proof; its description is the row's."""
    what = " ".join((proof.__doc__ or "").split()).rstrip(".")
    began = time.monotonic()
    try:
        row = Row(what, proof(about), held=True)
    except (AssertionError, RuntimeError, TimeoutError, subprocess.SubprocessError) as error:
        traceback.print_exc()
        words = " ".join(str(error).split())[:300].replace("|", "\\|")
        row = Row(what, words or "an assertion failed", held=False)
    click.echo(
        f"{time.monotonic() - began:6.1f} s  {'ok ' if row.held else 'NOT'} {what}: {row.seen}"
    )
    return row


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("prove.py: needs root, as it boots containers")
    sys.exit(main())
