"""``multa-sensor tap``: open packet sockets for a sensor that may not."""

import os
import pwd
from contextlib import closing

import click

from sensor.capture.tap import Tap
from sensor.cli import say
from sensor.errors import UsageError
from sensor.service.notify import ServiceManager
from sensor.service.signals import Signals


@click.command()
@click.option(
    "--socket",
    "path",
    required=True,
    metavar="PATH",
    help="Where to listen; the folder's rights and the socket's mode, 0660, say who may connect.",
)
@click.option(
    "--user",
    "users",
    multiple=True,
    metavar="NAME",
    help="Whose processes get sockets, by name or number; may be given again. Default: those of "
    "the user that the tap runs as.",
)
def tap(path: str, users: tuple[str, ...]) -> None:
    """Open packet sockets for a sensor that runs without any privilege, until SIGTERM.

    It takes CAP_NET_RAW and looks at nothing: neither at packets nor at what those who connect
    say. SIGUSR1 shows how many sockets were handed over.

    \b
    Example:
      multa-sensor tap --socket /run/multa-tap/tap.sock --user multa
      multa-sensor run -i br-lan --tap /run/multa-tap/tap.sock -o alerts.json
    """  # noqa: D301 -- click's mark for lines to leave alone
    served = {_number(name) for name in users} or {os.geteuid()}
    signals, manager = Signals(), ServiceManager()
    with signals.handled(), closing(Tap(path, served)) as listening:
        signals.are_about(listening.stop, listening.counters)
        manager.ready()
        say(f"packet sockets are handed over at {path}")
        listening.serve(manager.alive)
        manager.stopping()


def _number(name: str) -> int:
    """The number of a user.

    Raises:
        UsageError: there is no such user.
    """
    if name.isdecimal():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise UsageError(f"--user {name}: there is no such user") from None
