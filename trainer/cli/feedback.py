"""``multa-trainer feedback``: what operators have said of alerts to a dataset."""

from collections.abc import Sequence
from pathlib import Path

import click

from sensor.errors import MissingInputError
from sensor.model.schema import FeatureSchema
from sensor.reporting.alert_log import Unread
from sensor.reporting.labels import current
from sensor.streams import visible
from trainer.datasets.dataset import add_source, create
from trainer.datasets.feedback import Judged, LeftOut, gather, labels_by_row, source
from trainer.tasks import KNOWN, NAMES


@click.command()
@click.argument("evidence", type=click.Path(path_type=Path), metavar="EVIDENCE_DIR")
@click.argument("labels", type=click.Path(path_type=Path), metavar="LABELS")
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the dataset; one that is there is added to.",
)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    type=click.Choice(KNOWN),
    default=NAMES,
    show_default=True,
    help="Column of the labels; may be given again. Alerts of other tasks are left out.",
)
def feedback(evidence: Path, labels: Path, out: Path, tasks: tuple[str, ...]) -> None:
    """Makes a dataset of the evidence of alerts that operators have labelled.

    Each alert is a source with the rows that it has left, labelled for its own task and unknown
    for all others. Nothing is trained: the dataset is given to `train` or `add-task` beside
    others. Training needs rows of both kinds of every task, which labelled alerts alone rarely
    are.

    \b
    Example:
      multa-trainer feedback evidence/ labels.json -o ds-feedback
      multa-trainer train --dataset ds --dataset ds-feedback --out run
    """  # noqa: D301 -- click's mark for lines to leave alone
    schema = FeatureSchema()
    judged = read_judged(evidence, labels, tasks, schema)
    known = {record.name: record for record in create(out, schema, tasks)}
    by_row = labels_by_row(judged)
    for each in judged:
        record, batch, values = source(each, by_row, tasks)
        unchanged = known.get(record.name) == record
        if not unchanged:
            add_source(out, record, batch, values)
        value = "attack" if each.label.value else "no attack"
        said = "unchanged" if unchanged else f"{record.rows} rows of {record.flows} flows"
        click.echo(
            f"{record.name}: {each.label.task}, {value} says {each.label.author!r}; {said}",
            err=True,
        )


def read_judged(
    evidence: Path, labels: Path, tasks: Sequence[str], schema: FeatureSchema
) -> list[Judged]:
    """Labelled alerts with their evidence; says which are left out, and why.

    Raises:
        MissingInputError: none is left.
    """
    unread = Unread()
    judged: list[Judged] = []
    for each in gather(evidence, current(labels, unread).values(), tasks, schema):
        if isinstance(each, LeftOut):
            click.echo(visible(f"{each.label.alert_id}: left out, {each.why}"), err=True)
        else:
            judged.append(each)
    if str(unread):
        click.echo(visible(f"{labels}: {str(unread).replace('alert', 'label')}"), err=True)
    if not judged:
        raise MissingInputError(
            f"{labels}: no label is of an alert with evidence in {evidence}; name the folders of "
            "one sensor"
        )
    return judged
