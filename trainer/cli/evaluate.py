"""``multa-trainer evaluate``: what a run is worth."""

import json
from pathlib import Path

import click

from sensor.errors import OutputError
from trainer.comparison import Comparison, compare
from trainer.datasets.dataset import load
from trainer.datasets.splits import without_repeated_flows
from trainer.evaluation import as_text, table
from trainer.runs import FIGURES
from trainer.runs import load as load_run


@click.command()
@click.option("--run", "folder", type=click.Path(path_type=Path), required=True, help="Of `train`.")
@click.option(
    "--dataset",
    "datasets",
    type=click.Path(path_type=Path),
    required=True,
    multiple=True,
    help="Folder that `extract` has made; may be given again. With the run's training sources in "
    "it, trees are trained for comparison.",
)
@click.option("--source", "sources", multiple=True, help="Test only this source.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for evaluation.json and evaluation.png; by default the run's.",
)
def evaluate(
    folder: Path, datasets: tuple[Path, ...], sources: tuple[str, ...], out: Path | None
) -> None:
    """Tests a run at its frozen thresholds on what it was neither fitted nor tuned to.

    That is the test part of its split, and every source that the run does not know.
    """
    run = load_run(folder)
    dataset, _ = without_repeated_flows(load(datasets), run.learnt_from)
    comparison = compare(run, dataset, sources)
    write(comparison, out or folder)
    click.echo(comparison.headline())
    click.echo(as_text(table(comparison.models)))


def write(comparison: Comparison, out: Path) -> None:
    """Writes figures and plot.

    Raises:
        OutputError: the folder can't be written.
    """
    from trainer.plots import plot  # noqa: PLC0415 -- matplotlib is slow to load

    try:
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(comparison.document(), indent=1)
        figures, picture = (out / name for name in FIGURES)
        figures.write_text(text + "\n", encoding="utf-8")
        plot(comparison, picture)
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror}; name a folder that can be written") from None
