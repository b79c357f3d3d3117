"""``multa-sensor explain``: why an alert was raised."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import click

from sensor.cli import completion, options, places
from sensor.errors import EvidenceError, UsageError
from sensor.reporting.drawing import ROWS, picture
from sensor.reporting.evidence_files import find, read
from sensor.reporting.explanation import Explanation, document
from sensor.reporting.explanation import explain as explained
from sensor.reporting.explanation_model import find_bundle
from sensor.reporting.explanation_text import text
from sensor.service.models.model_store import shipped_models

STDOUT = "-"


@click.command()
@click.argument("alert_id", metavar="ALERT_ID", shell_complete=completion.alerts)
@places.evidence
@click.option(
    "--models",
    "-m",
    type=options.folder,
    multiple=True,
    metavar="DIR",
    help="Where the bundle that scored it may be: its folder, or one of bundles or of a store. "
    "May be given again. The configured store and the shipped bundles are looked through as well.",
)
@click.option(
    "--rows",
    type=click.IntRange(1, 64),
    default=ROWS,
    show_default=True,
    metavar="N",
    help="Rows that are shown one by one.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with all numbers.")
@click.option(
    "--picture",
    "drawn",
    metavar="FILE|-",
    help="Also draw it, as one SVG; - is standard output, in place of the text.",
)
@places.config
def explain(
    alert_id: str,
    *,
    evidence: Path | None,
    models: tuple[Path, ...],
    rows: int,
    as_json: bool,
    drawn: str | None,
    config: Path | None,
) -> None:
    """Explain why an alert was raised: from the rows that its incident kept.

    The rows are scored again, whole and with something left out: a packet, or a part (sizes, gaps,
    flags, flow counts and so on) for which values of benign traffic are put in. What lowers the
    score most is what counted. Of an alert about a peer the rows are windows of round-trip times,
    which are drawn, and what is usual in the series is put in. docs/evidence.md says what that
    means, and what it does not.

    ALERT_ID stands in every alert; its first digits will do.

    \b
    Examples:
      multa-sensor explain b8cd1c43
      multa-sensor explain b8cd1c43 --picture why.svg
      multa-sensor replay capture.pcap --evidence kept -o alerts.json
      multa-sensor explain b8cd1c43 --evidence kept --rows 8
      multa-sensor explain b8cd1c43 --json | jq .parts
    """  # noqa: D301 -- click's mark for lines to leave alone
    if as_json and drawn == STDOUT:
        raise UsageError("--json and --picture - can't both go to standard output; name a file")
    installed = places.Places(config)
    folder = installed.evidence(evidence)
    if folder is None:
        raise UsageError("the configuration keeps no evidence; name a folder with --evidence")
    path = find(folder, alert_id)
    options.keep_apart([str(path)], drawn)
    explanation = explained_file(path, [*models, installed.settings.models.store], rows)
    if drawn:
        options.write_result(drawn, picture(explanation).encode(), "the picture")
    if as_json:
        click.echo(json.dumps(document(explanation)))
    elif drawn != STDOUT:
        click.echo(text(explanation, shutil.get_terminal_size((100, 24)).columns), nl=False)
    if explanation.agrees is False:
        raise EvidenceError(
            f"{path}: its scores do not come out again with {explanation.bundle}; "
            "one of the two is not what it was"
        )


def explained_file(path: Path, folders: Sequence[Path], rows: int = ROWS) -> Explanation:
    """What a file of evidence tells.

    Args:
        path: of the file.
        folders: where its bundle may be, beside the shipped ones.
        rows: that are explained one by one.

    Raises:
        MultaError: the evidence or its bundle can't be used.
    """
    evidence = read(path)
    sha256 = evidence.alert.multa["model"].get("sha256")
    bundle = find_bundle(sha256, [*folders, shipped_models()]) if sha256 else None
    return explained(evidence, bundle, rows)
