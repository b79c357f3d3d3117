"""``multa-sensor interfaces``: where one can capture."""

import json
from dataclasses import asdict

import click

from sensor.capture.interfaces import interfaces as find_interfaces


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def interfaces(*, as_json: bool) -> None:
    """List network interfaces and whether their frames can be decoded.

    \b
    Example:
      multa-sensor interfaces --json
    """  # noqa: D301 -- click's mark for lines to leave alone
    found = find_interfaces()
    if as_json:
        for entry in found:
            click.echo(json.dumps(asdict(entry)))
        return
    width = max((len(entry.name) for entry in found), default=0)
    for entry in found:
        link = entry.link if entry.supported else f"{entry.link} (not decoded)"
        click.echo(
            f"{entry.name:<{width}}  {entry.state:<10}  mtu {entry.mtu:<6} "
            f"{entry.mac or '-':<17}  {link}"
        )
