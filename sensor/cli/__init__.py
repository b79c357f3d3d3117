"""The command `multa-sensor`, a file per command.

Data goes to standard output, messages to standard error. Whatever a person can mend ends in one
line and in the exit status of its kind (`docs/exit-status.md`).
"""

import contextlib
import os
import sys
from typing import NoReturn

import click

import sensor
from sensor.commands import INTERRUPTED, Commands
from sensor.errors import MultaError, UsageError
from sensor.streams import claim_standard_streams, visible, write_soon
from sensor.unexpected import explained

__all__ = ["COMMANDS", "commands", "main", "say", "say_soon", "visible"]

COMMANDS = {
    "replay": "Detect in capture files.",
    "run": "Detect on a network interface.",
    "tap": "Open packet sockets for a run that has no privileges.",
    "flows": "Write the flows of capture files, without detecting.",
    "latency": "Measure the round-trip times in capture files.",
    "check": "Prove that a run would start, without starting it.",
    "status": "Tell how the sensor is, and why.",
    "top": "Watch the sensor at work, in a terminal.",
    "alerts": "Show the alerts of a log, and follow it.",
    "explain": "Tell why an alert was raised, from its packets.",
    "report": "Write one HTML page about the alerts of a log.",
    "label": "Say whether an alert was right.",
    "allow": "List the rules that allow flows, and ask which one matches.",
    "forward": "Send the alerts of the log to other machines.",
    "config": "Check and show the configuration.",
    "models": "Install, verify and compare model bundles.",
    "interfaces": "List network interfaces.",
}
"""One line of help for every command; its module has its name."""


@click.group(
    cls=Commands,
    package="sensor.cli",
    texts=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
)
@click.version_option(sensor.__version__, prog_name="multa-sensor")
def commands() -> None:
    """Watch network traffic and raise alerts, from one small neural network.

    \b
    Examples:
      multa-sensor replay capture.pcap
      multa-sensor run -i eth0 -o alerts.json
    """  # noqa: D301 -- click's mark for lines to leave alone


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command line and exits."""
    claim_standard_streams()
    try:
        # What is returned is the status of an early end; commands themselves return nothing.
        status = commands.main(
            arguments,
            prog_name="multa-sensor",
            standalone_mode=False,
            color=None if _colours_wanted() else False,
        )
    except click.Abort:
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} -h)" if context else ""
        _fail(UsageError(error.format_message().rstrip(".") + hint))
    except MultaError as error:
        _fail(error)
    except Exception as error:  # noqa: BLE001 -- the last place where it can become one line
        _fail(explained(error))
    else:
        sys.exit(status)


def _colours_wanted() -> bool:
    """Neither https://no-color.org nor a terminal that can't show them is in the way."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _fail(error: MultaError) -> NoReturn:
    say(f"error: {error}")
    sys.exit(error.exit_status)


def say(message: str) -> None:
    """Shows a line to a person, on standard error; nobody may be there to read it."""
    # Not through sys.stderr: what can't be written would be tried again at exit.
    with contextlib.suppress(OSError):
        os.write(2, _line(message))


def say_soon(message: str) -> None:
    """The same for a run that goes on: it does not wait for a reader, and leaves the line out."""
    write_soon(2, _line(message))


def _line(message: str) -> bytes:
    return f"multa-sensor: {visible(' '.join(message.split()))}\n".encode()
