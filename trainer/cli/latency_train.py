"""``multa-trainer latency train``: from labeling functions to a bundle."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sensor.errors import UsageError
from trainer.cli.ranges import SEED
from trainer.latency.quiet import Quiet
from trainer.latency.reading import read_files

Command = Callable[..., Any]


def _series(name: str, meaning: str, *, required: bool) -> Callable[[Command], Command]:
    """An option of files of quiet series."""
    return click.option(
        name,
        multiple=True,
        required=required,
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"{meaning}; may be given again.",
    )


@click.command()
@_series(
    "--quiet",
    "Series on which nothing is to be alerted, as `multa-sensor latency` prints them",
    required=True,
)
@_series(
    "--validation",
    "Such series of other days or networks, which nothing is learnt from: they decide when to "
    "stop, and thresholds",
    required=True,
)
@_series("--test", "Such series again, for figures on the model card alone", required=False)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the bundle, which gets the folder's name.",
)
@click.option("--seed", default=0, show_default=True, type=SEED, help="Of weights and examples.")
@click.option("--version", default="1", show_default=True, help="Of the model.")
def train(
    quiet: tuple[Path, ...],
    validation: tuple[Path, ...],
    test: tuple[Path, ...],
    out: Path,
    seed: int,
    version: str,
) -> None:
    """Teach a network noise, outages and swells, and export it as a bundle.

    It learns from generated series, labelled by labeling functions, and from quiet ones of your
    network; thresholds are such that the quiet ones of --validation raise no alert. This takes a
    minute or two.

    \b
    Example:
      multa-sensor latency monday.pcap -o monday.csv
      multa-sensor latency tuesday.pcap -o tuesday.csv
      multa-trainer latency train --quiet monday.csv --validation tuesday.csv --out models/latency
    """  # noqa: D301 -- click's mark for lines to leave alone
    _once((*quiet, *validation, *test))
    from trainer.bundling import require_place  # noqa: PLC0415 -- TensorFlow takes seconds to load
    from trainer.latency import deploying  # noqa: PLC0415

    require_place(out, version)
    parts = [list(read_files(files)) if files else [] for files in (quiet, validation, test)]
    made = deploying.train(Quiet(*parts), out, version, seed)
    thresholds = ", ".join(f"{task.name} {task.threshold:.4f}" for task in made.tasks)
    click.echo(f"{out}: {made.name} {made.version}, thresholds {thresholds}")


def _once(files: tuple[Path, ...]) -> None:
    seen: set[Path] = set()
    for path in files:
        if path.resolve() in seen:
            raise UsageError(
                f"{path}: is given twice; thresholds and figures take recordings that nothing was "
                "learnt from, so name each file once"
            )
        seen.add(path.resolve())
