"""``multa-trainer recipe``: from recordings to a bundle in one command."""

from dataclasses import replace
from pathlib import Path

import click

from sensor.errors import UsageError
from trainer.annotating.annotation_recipe import TABLE, AnnotationRecipe, annotation_recipe
from trainer.bundling import require_place
from trainer.cli.export import export_run
from trainer.cli.extract import extract_all
from trainer.cli.ranges import SEED
from trainer.lab.recording_set import record_missing
from trainer.recipe import Recipe, read_document, recipe_of, train_both
from trainer.traffic.readers import KINDS, read, services


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
    "--data",
    metavar="KIND:DIR",
    help="Of a recipe that annotates: learn from these captures, record none; KIND is one of "
    f"{', '.join(KINDS)}.",
)
@click.option("--seed", type=SEED, help="Of a recipe that annotates: in place of its own.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the bundle.",
)
def recipe(name: str, work: Path, data: str | None, seed: int | None, out: Path) -> None:
    """Records, extracts, trains, compares and exports as RECIPE says.

    RECIPE is the name of a shipped recipe (iot-gateway, traffic-class) or a TOML file. Recording
    needs root and the lab's programs; with all recordings there, nothing does. The bundle of a
    recipe with a table [annotating] raises no alerts: it says of flows which class they are.

    \b
    Examples:
      multa-trainer recipe iot-gateway --out models/iot-gateway
      multa-trainer recipe traffic-class --data labelled:captures --out models/mine
    """  # noqa: D301 -- click's mark for lines to leave alone
    document, where = read_document(name)
    if TABLE in document:
        _annotate(annotation_recipe(document, where), work, data, seed, out)
        return
    if data is not None or seed is not None:
        option = "--data" if data is not None else "--seed"
        raise UsageError(f"{option} goes with recipes that annotate; {name} raises alerts")
    _alert(recipe_of(document, where), work, out)


def _say(line: str) -> None:
    click.echo(line, err=True)


def _alert(plan: Recipe, work: Path, out: Path) -> None:
    require_place(out, plan.version)
    recordings = record_missing(plan.recordings, work / "recordings", _say)
    extract_all(recordings, work / "dataset", plan.tasks)
    run, in_source = train_both(plan, work / "dataset", work, _say)
    export_run(run, (work / "dataset",), in_source, out, plan.version)


def _annotate(
    plan: AnnotationRecipe, work: Path, data: str | None, seed: int | None, out: Path
) -> None:
    from trainer.reproduce.determinism import make_deterministic  # noqa: PLC0415

    require_place(out, plan.version)
    if seed is not None:
        plan = replace(plan, seed=seed)
    make_deterministic()
    if data is None:
        material = services(record_missing(plan.recordings, work / "recordings", _say))
    else:
        material = read(data)
    from trainer.annotating.annotation_bundle import annotate  # noqa: PLC0415 -- loads TensorFlow

    made = annotate(material, plan, out, _say)
    size = sum(file.stat().st_size for file in out.iterdir())
    click.echo(f"{out}: {made.name} {made.version}, seed {plan.seed}, {size} bytes")
