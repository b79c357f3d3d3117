"""``multa-sensor config``: is the configuration right, what does it say, and what may it say?"""

import json
from pathlib import Path

import click

from sensor.cli import options, visible
from sensor.service.config import configuration
from sensor.service.config.configuration_check import findings
from sensor.service.config.configuration_text import (
    default_text,
    effective_document,
    effective_text,
)
from sensor.service.config.settings import DEFAULT_PATH

_file = click.argument("file", required=False, type=options.folder, metavar="[FILE]")


@click.group(no_args_is_help=False)
def config() -> None:
    """Check and show the configuration, /etc/multa/sensor.toml unless another FILE is given.

    \b
    Example:
      multa-sensor config check
    """  # noqa: D301 -- click's mark for lines to leave alone


@config.command()
@_file
def check(file: Path | None) -> None:
    """Say what is wrong with a configuration, and whether what it names is there.

    The first thing that is wrong ends it, with its file, line and key, and exit status 78; a model
    or key that is missing with 66. What may still come (an interface, DHCP leases) is only told.
    Whether models answer and the interface may be captured on is tried by `multa-sensor check`.

    \b
    Examples:
      multa-sensor config check
      multa-sensor config check new.toml && mv new.toml /etc/multa/sensor.toml
    """  # noqa: D301 -- click's mark for lines to leave alone
    for line in findings(configuration.read(file or DEFAULT_PATH)):
        click.echo(visible(line))


@config.command()
@_file
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(file: Path | None, *, as_json: bool) -> None:
    """Show every value that holds, and where it comes from: a file and its line, or the default.

    \b
    Examples:
      multa-sensor config show
      multa-sensor config show --json | jq .capture
    """  # noqa: D301 -- click's mark for lines to leave alone
    settings = configuration.read(file)
    if as_json:
        click.echo(json.dumps(effective_document(settings)))
    else:
        click.echo(visible(effective_text(settings)), nl=False)


@config.command()
def default() -> None:
    """Show a configuration with every key, its meaning and its default.

    \b
    Example:
      multa-sensor config default > sensor.toml
    """  # noqa: D301 -- click's mark for lines to leave alone
    click.echo(default_text(), nl=False)
