"""``multa-trainer sources``: a catalogue and the folder of its captures, to a dataset."""

import sys
from collections import Counter
from pathlib import Path

import click

from trainer.cli.extract import extract_all
from trainer.datasets.sources import SHIPPED, captures, read_sources, recordings
from trainer.evaluation import as_text
from trainer.tasks import KNOWN


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder into which the catalogue's archives were unpacked.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the dataset; without it, what the catalogue lists is shown.",
)
@click.option(
    "--catalogue",
    type=click.Path(path_type=Path, dir_okay=False),
    default=SHIPPED,
    help="TOML file; by default that of the public captures.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Captures that are read side by side; by default one for each processor.",
)
def sources(data: Path, out: Path | None, catalogue: Path, jobs: int | None) -> None:
    """Makes a dataset out of captures that others have published, all known tasks labelled.

    The dataset goes on where it stopped. Its label files lie beside it, in labels/.
    """
    found = captures(read_sources(catalogue), data)
    if out is not None:
        extract_all(recordings(found, out / "labels"), out, KNOWN, jobs or 0)
        return
    counts = Counter((capture.source, capture.group) for capture in found)
    rows = [["captures", "group", "role", "licence", "about"]]
    for (source, group), count in counts.items():
        rows.append([str(count), group, source.role, source.licence, source.about])
    click.echo(as_text(rows), file=sys.stdout)
