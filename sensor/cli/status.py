"""``multa-sensor status``: how the sensor is, for people and for monitors."""

import json
from pathlib import Path

import click

from sensor.cli import options, places
from sensor.errors import MissingInputError, MultaError
from sensor.reporting.alert_log import Unread, rotated
from sensor.reporting.calibration import Calibration, calibration
from sensor.reporting.labels import current
from sensor.reporting.status_file import read_status
from sensor.reporting.status_page import page

EXIT = {"healthy": 0, "degraded": 1, "starting": 1, "down": 2}
"""Exit status by state (docs/exit-status.md)."""

file = click.option(
    "--file",
    type=options.folder,
    metavar="FILE",
    help="The status file of the sensor.  [default: that of the configuration]",
)


@click.command()
@file
@click.option("--json", "as_json", is_flag=True, help="The whole status as one JSON object.")
@places.labels
@places.config
def status(file: Path | None, labels: Path, config: Path | None, *, as_json: bool) -> None:
    """Tell how the sensor is, and why.

    The exit status is 0 if it is healthy, 1 if it is degraded or just starting, and 2 if it is
    down: if it ended, is gone, hangs, or never ran. With --json the entries `state` and `reasons`
    are those of now, whatever the file says (docs/health.md).

    \b
    Examples:
      multa-sensor status
      multa-sensor status --json | jq -r '.reasons[]'
    """  # noqa: D301 -- click's mark for lines to leave alone
    where = places.Places(config)
    found = read_status(status_file(where, file))
    if as_json:
        now = {"state": found.state, "reasons": list(found.reasons), "age_s": found.age_s}
        click.echo(json.dumps({**found.document, **now}))
    else:
        for line in page(found, _calibration(where, labels)):
            click.echo(line)
    click.get_current_context().exit(EXIT[found.state])


def status_file(where: places.Places, named: Path | None) -> Path:
    """The file that is named, or configured.

    Raises:
        MissingInputError: the configuration says that there is none.
    """
    path = where.status(named)
    if path is None:
        raise MissingInputError(
            "the configuration says that no status is written (health.status); name a file with "
            "--file"
        )
    return path


def _calibration(where: places.Places, labels: Path) -> list[Calibration]:
    """What labels say, if there are any and they may be read: the status does not depend on it."""
    try:
        output = str(where.settings.alerts.output)
        if output == "-" or not labels.exists():
            return []
        return calibration(current(labels, Unread()), [*rotated(output), Path(output)])
    except (MultaError, OSError):
        return []
