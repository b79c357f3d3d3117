"""``multa-trainer extract``: captures and labels to a dataset."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from tqdm import tqdm

from sensor.model.schema import FeatureSchema
from trainer.datasets.collection import Made, collect
from trainer.datasets.extraction import Recording, parse_recordings
from trainer.executors import executor
from trainer.tasks import KNOWN, NAMES


@click.command()
@click.argument("recordings", nargs=-1, required=True, metavar="RECORDING...")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the dataset; one that is there is added to.",
)
@click.option("--benign", is_flag=True, help="Captures without labels hold no attack.")
@click.option(
    "--task",
    "tasks",
    multiple=True,
    type=click.Choice(KNOWN),
    default=NAMES,
    show_default=True,
    help="Column of the labels; may be given again. Other tasks of the label files are left out.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Captures that are read side by side; by default one for each processor.",
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Read them on a Dask cluster, whose workers see the captures under the same paths.",
)
def extract(
    recordings: tuple[str, ...],
    out: Path,
    benign: bool,  # noqa: FBT001 -- click's
    tasks: tuple[str, ...],
    jobs: int | None,
    dask: str | None,
) -> None:
    """Makes a dataset out of recordings.

    A RECORDING is a folder that holds capture.pcap and labels.csv (what `lab record` writes), a
    folder of such folders, CAPTURE=LABELS.csv, or with --benign a capture alone. What the dataset
    holds already is not read again, so a command that was interrupted goes on where it stopped.
    """
    extract_all(parse_recordings(recordings, benign=benign), out, tasks, jobs or 0, dask)


def extract_all(
    recordings: list[Recording],
    out: Path,
    tasks: Sequence[str] = NAMES,
    jobs: int = 0,
    dask: str | None = None,
) -> None:
    """Adds recordings to a dataset, except those that it holds already, and says so.

    Args:
        recordings: of different names.
        out: folder of the dataset.
        tasks: columns of the labels.
        jobs: captures that are read side by side; 0 for one a processor.
        dask: address of a Dask cluster that reads them instead.
    """
    if dask is not None:  # its workers were started in another folder
        recordings = [_absolute(recording) for recording in recordings]
    with (
        executor(min(jobs, len(recordings)) if jobs else 0, dask) as pool,
        tqdm(
            total=sum(recording.capture.stat().st_size for recording in recordings),
            unit="B",
            unit_scale=True,
            leave=False,
            disable=not sys.stderr.isatty(),
        ) as bar,
    ):

        def told(recording: Recording, made: Made | None) -> None:
            bar.update(recording.capture.stat().st_size)
            bar.write(_line(recording, made, tasks), file=sys.stderr)

        collect(recordings, out, FeatureSchema(), tasks, pool, told)


def _absolute(recording: Recording) -> Recording:
    labels = recording.labels and recording.labels.absolute()
    return replace(recording, capture=recording.capture.absolute(), labels=labels)


def _line(recording: Recording, made: Made | None, tasks: Sequence[str]) -> str:
    if made is None:
        return f"{recording.name}: unchanged"
    record, _, labels = made
    attacks = ", ".join(
        f"{task} {int((labels[:, column] == 1).sum())}" for column, task in enumerate(tasks)
    )
    return (
        f"{record.name}: {record.packets} packets, {record.flows} flows, {record.rows} rows; "
        f"rows of attacks: {attacks}"
    )
