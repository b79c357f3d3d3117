"""``multa-trainer export``: a run to a bundle."""

from pathlib import Path

import click

from sensor.errors import MissingInputError, UsageError
from trainer.bundling import bundle
from trainer.comparison import compare
from trainer.datasets.dataset import load
from trainer.datasets.splits import without_repeated_flows
from trainer.runs import load as load_run


@click.command()
@click.option("--run", "folder", type=click.Path(path_type=Path), required=True, help="Of `train`.")
@click.option(
    "--dataset",
    "datasets",
    type=click.Path(path_type=Path),
    required=True,
    multiple=True,
    help="The run's dataset; may be given again.",
)
@click.option(
    "--in-source",
    "in_source_folder",
    type=click.Path(path_type=Path),
    help="A run with --split time on the same dataset, for the model card.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the bundle, which gets the folder's name.",
)
@click.option("--version", default="1", show_default=True, help="Of the model.")
def export(
    folder: Path,
    datasets: tuple[Path, ...],
    in_source_folder: Path | None,
    out: Path,
    version: str,
) -> None:
    """Writes the bundle of the run's best seed, with model card, figures and golden vectors."""
    export_run(folder, datasets, in_source_folder, out, version)


def export_run(
    folder: Path,
    datasets: tuple[Path, ...],
    in_source_folder: Path | None,
    out: Path,
    version: str,
) -> None:
    """Compares, writes the bundle, and says where it is.

    Raises:
        UsageError: a run's split is not of the kind that is asked for.
        MissingInputError: a source of the run is not in the dataset.
    """
    run = load_run(folder)
    if run.split.kind != "source":
        raise UsageError(f"{folder}: its split is by time; export a run with --split source")
    dataset, _ = without_repeated_flows(load(datasets), run.learnt_from)
    if missing := sorted(run.identities.keys() - {record.name for record in dataset.sources}):
        raise MissingInputError(
            f"the dataset lacks {missing[0]}, from which {folder} was made; name all datasets "
            "that it was trained on"
        )
    in_source = None
    if in_source_folder is not None:
        time_run = load_run(in_source_folder)
        if time_run.split.kind != "time":
            raise UsageError(f"{in_source_folder}: its split is by source; train it by time")
        in_source = compare(time_run, dataset)
    made = bundle(run, dataset, compare(run, dataset), in_source, out, version)
    size = sum(file.stat().st_size for file in out.iterdir())
    click.echo(f"{out}: {made.name} {made.version}, seed {run.best.seed}, {size} bytes")
