"""The command `multa-trainer`, a file per command group.

Commands are loaded when they are called, so that help and the commands that need no TensorFlow
answer at once.
"""

import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import click

import sensor
from sensor.errors import HostError, MultaError, UsageError
from sensor.streams import claim_standard_streams, visible
from sensor.unexpected import explained

COMMANDS = {
    "lab": ("trainer.cli.lab", "Record labelled captures in a small network of namespaces."),
    "extract": ("trainer.cli.extract", "Make a dataset of captures and labels."),
    "sources": ("trainer.cli.sources", "Make a dataset of captures that others have published."),
    "feedback": ("trainer.cli.feedback", "Make a dataset of alerts that operators have labelled."),
    "tune": ("trainer.cli.tune", "Find the smallest network that is good enough."),
    "train": ("trainer.cli.train", "Train networks on a dataset and freeze their thresholds."),
    "add-task": ("trainer.cli.add_task", "Add a task to a run, or refuse where others suffer."),
    "evaluate": ("trainer.cli.evaluate", "Compare a run with its baselines on held-out traffic."),
    "export": ("trainer.cli.export", "Write the model bundle of a run."),
    "sign": ("trainer.cli.sign", "Sign a model bundle with an ed25519 key."),
    "proof": ("trainer.cli.proof", "Measure detection on captures of other networks."),
    "reproduce": ("trainer.cli.reproduce", "Make a paper's tables and figures again."),
    "recipe": ("trainer.cli.recipe", "Go from recordings to a bundle in one step."),
}
"""Module and one line of help for every command."""

INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""


class _Commands(click.Group):
    """Loads a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), cmd_name.replace("-", "_"))
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
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
            commands.main(arguments, prog_name="multa-trainer", standalone_mode=False)
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
    except BrokenPipeError:
        # The reader has seen enough; leave nothing for the interpreter to flush into the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # noqa: BLE001 -- the last place where it can become one line
        _fail(explained(error))


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
