"""``multa-trainer reproduce traffic-class``: the second paper's Table III, made again."""

import contextlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from sensor.errors import OutputError
from trainer.cli import outputs
from trainer.executors import Workers, executor
from trainer.kept import identity, read_kept, write_kept
from trainer.traffic.claims import NAMES, accuracies
from trainer.traffic.cost import Cost, costs
from trainer.traffic.inputs import CLASS, TASKS
from trainer.traffic.material import Material
from trainer.traffic.page import Found, page, raw
from trainer.traffic.readers import KINDS, read
from trainer.traffic.results import Results
from trainer.traffic.schedule import COUNTS, counts, main, tuning, variations

STEPS = ("tuning", "table3", "variations", "cost")


def _counts(_: click.Context, __: click.Parameter, value: str) -> tuple[int, ...]:
    """Numbers of labels and the word all, between commas; 0 stands for all."""
    found = []
    for word in value.split(","):
        if word != "all" and not (word.isascii() and word.isdigit() and int(word)):
            raise click.BadParameter(f"{word!r} is no number of labels; write 10,100,all")
        found.append(0 if word == "all" else int(word))
    return tuple(dict.fromkeys(found))


@click.command("traffic-class")
@click.argument("steps", nargs=-1, type=click.Choice(STEPS), metavar="[STEP]...")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="KIND:DIR",
    help=f"Data set; KIND is one of {', '.join(KINDS)}. May be given again.",
)
@click.option(
    "--labels",
    default=",".join(str(count or "all") for count in COUNTS),
    show_default=True,
    callback=_counts,
    help="Known classes, in total.",
)
@click.option(
    "--seeds", type=click.IntRange(1, 100), default=5, show_default=True, help="Of every training."
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/traffic-class"),
    show_default=True,
    help="Folder for results; what is there is not made again.",
)
@outputs.page
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Trainings side by side; by default one for each processor.",
)
def traffic_class(
    steps: tuple[str, ...],
    data: tuple[str, ...],
    labels: tuple[int, ...],
    seeds: int,
    work: Path,
    out: Path | None,
    jobs: int | None,
) -> None:
    """Tells traffic class, bandwidth and duration with few labels, each a STEP.

    The steps are tuning, table3, variations and cost; without a STEP, all are done. Each
    training's figures are kept in WORK, so an interrupted call goes on where it stopped; the page
    says what has not been run.

    Example: multa-trainer reproduce traffic-class --data quic:out/quic --out traffic-class.md
    """

    def say(line: str) -> None:
        click.echo(line, err=True)

    materials = [read(argument) for argument in data]
    for material in materials:
        material.require_parts()
    chosen = steps or STEPS
    with executor(jobs or 0) as workers, contextlib.ExitStack() as last:
        if out is not None:
            last.callback(lambda: _write(out, materials, work, labels, seeds))
        for material in materials:
            _make(material, Results(material, work), labels, seeds, chosen, workers, say)
            if "cost" in chosen:
                _cost(material, work, make=True)


def _make(
    material: Material,
    results: Results,
    wanted: tuple[int, ...],
    seeds: int,
    steps: tuple[str, ...],
    workers: Workers,
    say: Any,
) -> None:
    if "tuning" in steps:
        results.make([each for of in tuning(material).values() for each in of], workers, say)
    candidates = results.candidates()
    if "table3" in steps:
        results.make(main(material, candidates, wanted, range(seeds)), workers, say)
    if "variations" in steps:
        each = variations(material, candidates, range(seeds))
        results.make([one for of in each.values() for one in of], workers, say)


def _found(material: Material, work: Path, wanted: tuple[int, ...], seeds: int) -> Found:
    results = Results(material, work)
    candidates = results.candidates()
    trainings = main(material, candidates, wanted, range(seeds))
    varied = variations(material, candidates, range(seeds))
    return Found(
        material=material,
        counts=counts(material, wanted),
        candidates=candidates,
        main=results.known(trainings),
        wanted=len(trainings),
        varied={name: results.known(of) for name, of in varied.items()},
        costs=_cost(material, work, make=False),
        dates=results.dates(trainings),
    )


def _cost(material: Material, work: Path, *, make: bool) -> dict[str, Cost]:
    """The networks' costs, measured where they are not known and that is asked for."""
    key, digest = identity(format=1, sizes=material.sizes(material.divisions[0]))
    path = work / material.name / f"cost-{digest[:12]}.json"
    document = read_kept(path, key)
    if document is None:
        if not make:
            return {}
        made = costs(material)
        write_kept(path, key, costs={name: asdict(cost) for name, cost in made.items()})
        return made
    return {name: Cost(**entries) for name, entries in document["costs"].items()}


def _write(
    out: Path, materials: list[Material], work: Path, wanted: tuple[int, ...], seeds: int
) -> None:
    """Writes the page, its pictures and its numbers, whatever ended the steps."""
    found = [_found(material, work, wanted, seeds) for material in materials]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        found = [_drawn(out, each) for each in found]
        out.write_text(page(found), encoding="utf-8")
        numbers = json.dumps(raw(found)) + "\n"
        out.with_suffix(".json").write_text(numbers, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror}; name a file that can be written") from None


def _drawn(out: Path, found: Found) -> Found:
    """Draws the curves of a data set with classes, if there are any."""
    from trainer.traffic.pictures import plot  # noqa: PLC0415 -- matplotlib is slow to load

    curves = {}
    for approach, name in NAMES.items():
        each = {
            count: accuracies(found.main, approach, TASKS[CLASS], count) for count in found.counts
        }
        if any(each.values()):
            curves[name] = {count: values for count, values in each.items() if values}
    if not curves:
        return found
    picture = f"{out.stem}-{found.material.name}.png"
    plot(curves, found.material.labelled(0, 0).size, out.parent / picture)
    return replace(found, picture=picture)
