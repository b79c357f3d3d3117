"""``multa-trainer recipe``: from recordings to a bundle in one command."""

from pathlib import Path

import click

from trainer.cli.export import export_run
from trainer.cli.extract import extract_all
from trainer.lab.recording_set import record_missing
from trainer.recipe import read_recipe, train_both


@click.command()
@click.argument("name", metavar="RECIPE")
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out"),
    show_default=True,
    help="Folder for recordings, dataset and runs; what is there is not made again.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the bundle.",
)
def recipe(name: str, work: Path, out: Path) -> None:
    """Records, extracts, trains, compares and exports as RECIPE says.

    RECIPE is the name of a shipped recipe (iot-gateway) or a TOML file. Recording needs root and
    the lab's programs; with all recordings there, nothing does.
    """
    plan = read_recipe(name)

    def say(line: str) -> None:
        click.echo(line, err=True)

    recordings = record_missing(plan.recordings, work / "recordings", say)
    extract_all(recordings, work / "dataset", plan.tasks)
    run, in_source = train_both(plan, work / "dataset", work, say)
    export_run(run, (work / "dataset",), in_source, out, plan.version)
