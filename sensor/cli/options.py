"""Options that several commands share, and the outputs that they open."""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from sensor.alerts.sinks import STDOUT, EventLog
from sensor.capture.formats import CaptureFile, open_capture
from sensor.cli import say
from sensor.errors import ConfigurationError, OutputError, UsageError
from sensor.hops import Profile
from sensor.service.config import configuration
from sensor.service.config.setting_tables import SOURCES
from sensor.service.config.settings import WITHOUT_A_FILE, Settings
from sensor.service.config.values import BitsBeyondPrefixError, WrongValueError, network
from sensor.service.health.statistics import Statistics, StatisticsFile
from sensor.service.models.model_store import shipped_bundle

files = click.argument("files", nargs=-1, required=True, metavar="FILE...")

folder = click.Path(path_type=Path, readable=False)
"""A path that is looked at by whoever reads it, so that what is wrong has its own exit status."""

models = click.option(
    "--models",
    "-m",
    type=folder,
    multiple=True,
    metavar="DIR",
    help="Folder of a model bundle; may be given again. Default: the one that came with the "
    "sensor.",
)
config = click.option(
    "--config",
    type=folder,
    metavar="FILE",
    help="Configuration (docs/configuration.md); options go before what it says.",
)
source = click.option(
    "--source",
    type=click.Choice(SOURCES),
    default=SOURCES[0],
    show_default=True,
    help="What reads packets; tshark knows more formats and interfaces (extra `pyshark`).",
)
no_models = click.option("--no-models", is_flag=True, help="Use the counting rule alone.")
no_rule = click.option("--no-rule", is_flag=True, help="Leave the counting rule out.")
home_net = click.option(
    "--home-net",
    multiple=True,
    metavar="CIDR,...",
    help="Networks of yours, IPv4 or IPv6; may be given again. Alerts then tell whether victims "
    "and sources are inside.",
)
profile = click.option(
    "--profile",
    is_flag=True,
    help="Tell on standard error, at the end, where the processor's time went.",
)
stats = click.option(
    "--stats", metavar="FILE|-", help="Write one JSON object of counters at the end."
)
flows = click.option(
    "--flows",
    metavar="FILE",
    help="Where goes what models say of flows, as JSON lines (docs/annotations.md); takes a model "
    "with categorical tasks.",
)
summary = click.option(
    "--summary",
    is_flag=True,
    help="Tell what was found on standard error; on a terminal this is the default.",
)


def opener(source: str) -> Callable[[str, int], CaptureFile]:
    """What opens a capture file for a source."""
    if source == "native":
        return open_capture
    from sensor.capture.tshark import open_with_tshark  # noqa: PLC0415 -- others save its memory

    return open_with_tshark


def settings(config: Path | None, values: Mapping[str, Any]) -> Settings:
    """What a command works by: a configuration, and what options say in its place.

    Args:
        config: its file; without one no file is looked for.
        values: of keys, from options that were given; None says nothing.

    Raises:
        MultaError: the configuration is missing or wrong, or no model came with the sensor.
    """
    if config is not None:
        return configuration.read(config).overridden(values)
    base = WITHOUT_A_FILE
    if values.get("models.active") is None:
        base = base.with_values({"models.active": (str(shipped_bundle()),)}, {})
    return base.overridden(values)


def require_interface(config: Path | None, settings: Settings) -> None:
    """Proves that a configuration says where to capture, or an option has.

    Raises:
        ConfigurationError: neither does.
    """
    if not settings.capture.interfaces:
        raise ConfigurationError(
            f"{config}: capture.interfaces: names none; write one like "
            'interfaces = ["eth0"] under [capture], or give -i NAME'
        )


def given(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Values of those parameters of this command that stand on the command line.

    Args:
        parameters: keys of the configuration, and the names of their parameters.
    """
    context = click.get_current_context()
    return {
        key: context.params[name]
        for key, name in parameters.items()
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE
    }


def detection(
    models: Sequence[Path] = (),
    home_net: Sequence[str] = (),
    *,
    no_models: bool = False,
    no_rule: bool = False,
) -> dict[str, Any]:
    """What the options about detecting say in place of the configuration.

    Raises:
        UsageError: models are given and excluded, or a network is none.
    """
    if no_models and models:
        raise UsageError("--models and --no-models exclude each other")
    # A folder of the command line is one without a slash too.
    folders = tuple(str(each) if "/" in str(each) else f"./{each}" for each in models)
    return {
        "models.active": () if no_models else folders or None,
        "models.rule": False if no_rule else None,
        "network.home": home_networks(home_net) or None,
    }


def home_networks(given: Sequence[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks of the values of ``--home-net``.

    Raises:
        UsageError: one of them is no network.
    """
    return tuple(_network(each.strip()) for value in given for each in value.split(","))


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return network(text)
    except BitsBeyondPrefixError as error:
        raise UsageError(f"--home-net {text}: {error}") from None
    except WrongValueError as error:
        raise UsageError(
            f"--home-net {text!r}: {error}, several with commas between them"
        ) from None


def write_result(path: str, content: bytes, what: str) -> None:
    """Writes a file of its own, whole or not at all; what was there stays if there is no room.

    It is for its owner and the group to read, as it holds addresses of people.

    Args:
        path: of the file, which is replaced; of a device or a pipe; or ``-``.
        content: of it.
        what: it is, for an error, such as ``the report``.

    Raises:
        OutputError: it can't be written.
    """
    if path == STDOUT:
        sys.stdout.buffer.write(content)
        return
    target = Path(os.path.realpath(path))
    whole = not target.exists() or target.is_file()
    place = target.with_name(f".{target.name}.{os.getpid()}.new") if whole else target
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        with open(os.open(place, flags, 0o640), "wb") as file:  # noqa: PTH123 -- a descriptor
            file.write(content)
        if whole:
            place.replace(target)
    except (OSError, ValueError) as error:
        if whole:
            with contextlib.suppress(OSError, ValueError):
                place.unlink()
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise OutputError(
            f"{path}: {what} can't be written ({reason}); make room or choose another place"
        ) from None


def keep_apart(inputs: Sequence[str], *outputs: str | None) -> None:
    """Proves that all names are different files, before anything is read or emptied.

    An input that is given twice would have every packet, or alert, twice.

    Raises:
        UsageError: two names are the same file.
    """
    taken: dict[tuple[int, int] | str, str] = {}
    for name in inputs:
        if name == STDOUT:
            continue
        identity = _identity(name)
        if identity in taken:
            again = "" if taken[identity] == name else f", as {taken[identity]} before"
            raise UsageError(f"{name}: is given twice{again}; all in it would count twice")
        taken[identity] = name
    for path in outputs:
        if path is None or path == STDOUT:
            continue
        identity = _identity(path)
        if identity in taken and not _is_device(path):
            raise UsageError(f"{path}: is {taken[identity]} already; choose another output")
        taken[identity] = path


def require_file(option: str, path: str | None) -> None:
    """Proves that an option names a file, if it is given.

    Raises:
        UsageError: it names standard output.
    """
    if path == STDOUT:
        raise UsageError(f"{option} can't write to standard output; name a file or a pipe")


def _is_device(path: str) -> bool:
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 -- ValueError is caught too
    except (OSError, ValueError):
        return False


def _identity(path: str) -> tuple[int, int] | str:
    try:
        found = os.stat(path)  # noqa: PTH116 -- ValueError is caught too
    except (OSError, ValueError):
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def open_statistics(
    path: str | None, other_output: str | None, *, waits: bool = True
) -> StatisticsFile | None:
    """Where ``--stats`` goes, opened; `waits` says whether for the reader of a named pipe.

    Raises:
        UsageError: the other output goes there too.
        OutputError: it can't be written.
    """
    if path is None:
        return None
    if path == other_output:
        name = "standard output" if path == STDOUT else path
        raise UsageError(f"{name}: two outputs can't go there; choose another with -o or --stats")
    if not waits:
        return StatisticsFile(path, waits=False)
    with _telling_of_a_wait(path):
        return StatisticsFile(path)


def open_fresh_log(path: str, of: str = "alerts") -> EventLog:
    """A log that stops the run if it can't be written; an old one is emptied.

    Args:
        path: of the log.
        of: what is in it, for errors.

    Raises:
        OutputError: it can't be opened.
    """
    with _telling_of_a_wait(path):
        log = EventLog(path, strict=True, of=of)
    if path != STDOUT and stat.S_ISREG(Path(path).stat().st_mode):
        os.truncate(path, 0)
    return log


@contextlib.contextmanager
def _telling_of_a_wait(path: str) -> Iterator[None]:
    """Says so before a named pipe is opened that nobody reads, as that waits.

    The attempt stays open meanwhile: a reader takes the end of its only writer for the end.
    """
    with contextlib.ExitStack() as opened:
        if path != STDOUT:
            try:
                attempt = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                opened.callback(os.close, attempt)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    say(f"waiting for a reader of {path}")
        yield


def shares_terminal(output: str | None) -> bool:
    """Whether an output goes to the terminal on which messages are shown."""
    return output == STDOUT and sys.stdout.isatty()


def show_profile(profile: Profile, statistics: Statistics) -> None:
    """Writes where the time went to standard error."""
    counts = statistics.document()
    for text in profile.lines(counts["packets"], counts["flows"]):
        click.echo(text, err=True)
