"""Options of commands that fit networks; what they mean is the same everywhere."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from trainer.cli.ranges import SEED
from trainer.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULTS = Settings()


def of_parts(command: F) -> F:
    """``validation``, ``test`` and ``split_seed``: which sources are held out."""
    return _with(
        command,
        click.option("--validation", multiple=True, metavar="SOURCE", help="Tune on this source."),
        click.option("--test", multiple=True, metavar="SOURCE", help="Leave this source out."),
        click.option(
            "--split-seed",
            type=SEED,
            default=0,
            show_default=True,
            help="Draws the parts where no source is named.",
        ),
    )


def of_fit(
    epochs: int = _DEFAULTS.epochs,
    patience: int = _DEFAULTS.patience,
    batch_size: int = _DEFAULTS.batch_size,
) -> Callable[[F], F]:
    """``tower_units``, ``epochs``, ``patience`` and ``batch_size``.

    Args:
        epochs: default.
        patience: default.
        batch_size: default.
    """

    def decorated(command: F) -> F:
        return _with(
            command,
            click.option(
                "--tower-units",
                type=click.IntRange(1),
                multiple=True,
                default=_DEFAULTS.tower_units,
                show_default=True,
                help="Width of a hidden layer of each task's tower; may be given again.",
            ),
            _count("--epochs", epochs, "At most so many passes over a network's examples."),
            _count("--patience", patience, "Epochs without improvement after which to stop."),
            _count("--batch-size", batch_size, "Examples a step; few in few epochs need many."),
        )

    return decorated


def _count(name: str, default: int, words: str) -> Callable[[F], F]:
    return click.option(
        name, type=click.IntRange(1), default=default, show_default=True, help=words
    )


def _with(command: F, *options: Callable[[F], F]) -> F:
    for option in reversed(options):
        command = option(command)
    return command
