"""``multa-trainer reproduce``: the evaluations of papers, made again."""

import contextlib
import json
from pathlib import Path

import click

from sensor.errors import OutputError
from trainer.cli import outputs
from trainer.cli.latency_reproduce import latency
from trainer.cli.traffic_class import traffic_class
from trainer.executors import executor
from trainer.lab.recording_set import RecordingSet, read_set
from trainer.reproduce.courses import FIG5, STEPS, TABLE2, TASKS, TURN
from trainer.reproduce.determinism import make_deterministic
from trainer.reproduce.fig4.standing import PARTS, points
from trainer.reproduce.fig4.step import Fig4, Step
from trainer.reproduce.fig4.variants import TITLES
from trainer.reproduce.figures import curve
from trainer.reproduce.material import (
    IN_SOURCE,
    LEFT_OUT,
    RECORDINGS,
    Material,
    draw,
    gather,
    used,
)
from trainer.reproduce.page import page, raw
from trainer.reproduce.results import Result, Results


@click.group()
def reproduce() -> None:
    """Make tables and figures of a paper again, on data that can be had."""


reproduce.add_command(traffic_class)
reproduce.add_command(latency)


@reproduce.command()
@click.argument("steps", nargs=-1, type=click.Choice([*STEPS, "fig4"]), metavar="[STEP]...")
@click.option(
    "--recordings",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/recordings"),
    show_default=True,
    help="Folder of the lab's recordings.",
)
@click.option(
    "--set",
    "set_name",
    default=str(RECORDINGS),
    show_default="parts of homes, version 2",
    help="Set of the recordings: a name, or the path of a list.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/multa"),
    show_default=True,
    help="Folder for dataset and results; what is there is not made again.",
)
@outputs.page
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Networks that are trained side by side; by default one for each processor.",
)
@click.option(
    "--deterministic",
    is_flag=True,
    help="Have TensorFlow add in one order: the same networks bit by bit; kept apart from others.",
)
def multa(
    steps: tuple[str, ...],
    recordings: Path,
    set_name: str,
    work: Path,
    out: Path | None,
    jobs: int | None,
    *,
    deterministic: bool,
) -> None:
    """Makes the evaluation of MULTA again, each a STEP: table2, table1, fig5, fig4.

    Without a STEP, all are done, which takes an hour or two on two cores. Each network's figures
    are kept in WORK, so an interrupted call goes on where it stopped; the page says what has not
    been run. Fig. 4 times what it compares: best on an idle machine.
    """

    def say(line: str) -> None:
        click.echo(line, err=True)

    if deterministic:
        make_deterministic()
    wanted = read_set(set_name)
    with executor(jobs or 0) as workers:
        dataset = gather(wanted, recordings, work, workers)
        material = draw(dataset, wanted.parts())
        results = Results(material, work)
        balance = Step(material, dataset, wanted.parts(), used(wanted, recordings), work)
        with contextlib.ExitStack() as last:
            if out is not None:
                last.callback(
                    lambda: _write(out, material, wanted, results, balance.known(workers))
                )
            chosen = [
                course
                for step in steps or STEPS
                if step in STEPS
                for course in STEPS[step][1].values()
            ]
            results.make(chosen, workers, say)
            if not steps or "fig4" in steps:
                balance.make(workers, say)


def _write(
    out: Path, material: Material, wanted: RecordingSet, results: Results, fig4: Fig4
) -> None:
    """Writes the page, its pictures and its numbers, whatever ended the steps."""
    found = results.known([course for _, step in STEPS.values() for course in step.values()])
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        pictures = _draw(out, found)
        if fig4.variants:
            pictures["fig4"] = _draw_fig4(out, fig4)
        out.write_text(page(material, wanted, found, fig4, pictures), encoding="utf-8")
        numbers = json.dumps(raw(material, found, fig4), indent=1) + "\n"
        out.with_suffix(".json").write_text(numbers, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror}; name a file that can be written") from None


def _draw_fig4(out: Path, fig4: Fig4) -> str:
    """Draws areas against cost; name of the picture."""
    from trainer.reproduce.pictures import plot_balance  # noqa: PLC0415 -- matplotlib is slow to load

    name = f"{out.stem}-fig4.png"
    panels = points(fig4)
    plot_balance(panels, len(panels) // len(PARTS), out.parent / name, TITLES["attempt"])
    return name


def _draw(out: Path, found: list[Result]) -> dict[str, str]:
    """Draws the steps that have results; names of the pictures."""
    from trainer.reproduce.pictures import plot_curves  # noqa: PLC0415 -- matplotlib is slow to load

    there = {result.course for result in found}
    pictures = {}
    if there & set(TABLE2):
        panels = {
            f"{words}, {part}": {
                course.title: curve(found, name, part)
                for name, course in TABLE2.items()
                if course.phases[0].layout == layout and name in there
            }
            for layout, words in (
                ("own", "attacks in their own sets"),
                ("others", "half elsewhere"),
            )
            for part in (LEFT_OUT, IN_SOURCE)
        }
        panels = {title: panel for title, panel in panels.items() if panel}
        pictures["table2"] = f"{out.stem}-table2.png"
        plot_curves(panels, 2, out.parent / pictures["table2"])
    if there & set(FIG5):
        panels = {
            f"{course.title}, {part}": {task: curve(found, name, part, task) for task in TASKS}
            for name, course in FIG5.items()
            for part in (LEFT_OUT, IN_SOURCE)
            if name in there
        }
        pictures["fig5"] = f"{out.stem}-fig5.png"
        plot_curves(panels, 2, out.parent / pictures["fig5"], turns=TURN)
    return pictures
