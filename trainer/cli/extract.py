"""``multa-trainer extract``: captures and labels to a dataset."""

import sys
from pathlib import Path

import click
from tqdm import tqdm

from sensor.model.schema import FeatureSchema
from trainer.datasets.dataset import add_source, create
from trainer.datasets.extraction import Recording, parse_recordings, sha256
from trainer.datasets.extraction import extract as extract_recording
from trainer.tasks import NAMES


@click.command()
@click.argument("recordings", nargs=-1, required=True, metavar="RECORDING...")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the dataset; one that is there is added to.",
)
@click.option("--benign", is_flag=True, help="Captures without labels hold no attack.")
def extract(recordings: tuple[str, ...], out: Path, benign: bool) -> None:  # noqa: FBT001 -- click's
    """Makes a dataset out of recordings.

    A RECORDING is a folder that holds capture.pcap and labels.csv (what `lab record` writes), a
    folder of such folders, CAPTURE=LABELS.csv, or with --benign a capture alone.
    """
    extract_all(parse_recordings(recordings, benign=benign), out)


def extract_all(recordings: list[Recording], out: Path) -> None:
    """Adds recordings to a dataset, except those that it holds already."""
    schema = FeatureSchema()
    known = {record.name: record for record in create(out, schema, NAMES)}
    for recording in recordings:
        labels_sha256 = sha256(recording.labels) if recording.labels else ""
        before = known.get(recording.name)
        if (
            before
            and before.capture_sha256 == sha256(recording.capture)
            and before.labels_sha256 == labels_sha256
        ):
            click.echo(f"{recording.name}: unchanged", err=True)
            continue
        with tqdm(
            total=recording.capture.stat().st_size,
            desc=recording.name,
            unit="B",
            unit_scale=True,
            leave=False,
            disable=not sys.stderr.isatty(),
        ) as bar:
            record, batch, labels = extract_recording(recording, schema, NAMES, bar.update)
        add_source(out, record, batch, labels)
        attacks = ", ".join(
            f"{task} {int((labels[:, column] == 1).sum())}" for column, task in enumerate(NAMES)
        )
        click.echo(
            f"{record.name}: {record.packets} packets, {record.flows} flows, {record.rows} rows; "
            f"rows of attacks: {attacks}",
            err=True,
        )
