"""The command `multa-trainer`, a file per command group."""

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import click

import sensor
from sensor.commands import INTERRUPTED, Commands
from sensor.errors import HostError, MultaError, UsageError
from sensor.streams import claim_standard_streams, visible
from sensor.unexpected import explained

COMMANDS = {
    "lab": "Record labelled captures in a small network of namespaces.",
    "extract": "Make a dataset of captures and labels.",
    "sources": "Make a dataset of captures that others have published.",
    "feedback": "Make a dataset of alerts that operators have labelled.",
    "tune": "Find the smallest network that is good enough.",
    "train": "Train networks on a dataset and freeze their thresholds.",
    "add-task": "Add a task to a run, or refuse where others suffer.",
    "evaluate": "Compare a run with its baselines on held-out traffic.",
    "export": "Write the model bundle of a run.",
    "sign": "Sign a model bundle with an ed25519 key.",
    "proof": "Measure detection on captures of other networks.",
    "latency": "Generate, read and show series of round-trip times.",
    "weak": "Label latency series and flows with labeling functions.",
    "reproduce": "Make a paper's tables and figures again.",
    "recipe": "Go from recordings to a bundle in one step.",
}
"""One line of help for every command; its module has its name."""


@click.group(
    cls=Commands,
    package="trainer.cli",
    texts=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(sensor.__version__, prog_name="multa-trainer")
def commands() -> None:
    """Make model bundles for multa-sensor out of labelled captures."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits; what a person can mend ends in one line."""
    claim_standard_streams()
    # Before TensorFlow is imported: no banner, and sums in the same order on every machine.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    # Threads of gradient-boosted trees sleep while they wait for each other: spinning, they take
    # a hundred times longer on a machine that is busy otherwise.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        with _ended_by_signals():
            # What is returned is the status of an early end; commands themselves return nothing.
            status = commands.main(arguments, prog_name="multa-trainer", standalone_mode=False)
    except click.exceptions.Exit as request:
        sys.exit(request.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except click.UsageError as error:
        if error.ctx:
            click.echo(error.ctx.get_usage(), err=True)
        _fail(UsageError(error.format_message()))
    except MultaError as error:
        _fail(error)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("sensor", "trainer"):
            raise
        _fail(
            HostError(
                f"{error.name} is not installed; install multa with its extra, "
                "as in `pip install '.[trainer]'`"
            )
        )
    except Exception as error:  # noqa: BLE001 -- the last place where it can become one line
        _fail(explained(error))
    else:
        if status:
            sys.exit(status)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end a command as Ctrl-C does: what it has begun is tidied up first."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:  # not so under nohup
                before[number] = signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _: FrameType | None) -> None:
    """Exit status as shells report a signal."""
    sys.exit(128 + number)


def _fail(error: MultaError) -> None:
    click.echo(visible(f"multa-trainer: error: {error}"), err=True)
    sys.exit(error.exit_status)
