"""``multa-sensor check``: would a run start?"""

import contextlib
from pathlib import Path

import click

from sensor.alerts.sinks import STDOUT, AlertLog
from sensor.capture.ring import Ring
from sensor.cli import options
from sensor.model.detector import BundleDetector
from sensor.service.lanes import build_lanes


@click.command()
@options.models
@options.no_models
@click.option("--output", "-o", metavar="FILE", help="The alert log.")
@click.option("--interface", "-i", metavar="NAME", help="The interface to capture on.")
def check(
    models: tuple[Path, ...], *, no_models: bool, output: str | None, interface: str | None
) -> None:
    """Prove that a run would start: models, alert log, interface and permission.

    Each is told on a line of standard output; the first that is wrong ends the check with its
    exit status. The alert log is created if it does not exist.

    \b
    Examples:
      multa-sensor check -i br-lan -o /var/log/multa/alerts.json
      multa-sensor check -m models/mine
    """  # noqa: D301 -- click's mark for lines to leave alone
    bundles = options.chosen_models(models, no_models=no_models)
    for lane in build_lanes(bundles, rule=True):
        for detector in lane.detectors:
            if isinstance(detector, BundleDetector):
                bundle = detector.bundle
                click.echo(
                    f"model {bundle.path}: ok ({bundle.name} {bundle.version}, "
                    f"{detector.runtime}, golden vectors answered)"
                )
    if output is not None and output != STDOUT:
        AlertLog(output, strict=True).close()
        click.echo(f"alert log {output}: ok (can be appended to)")
    if interface is not None:
        with contextlib.closing(Ring(interface, block_bytes=1 << 16, blocks=8)) as ring:
            state = "up" if ring.up else "not up yet"
            click.echo(f"interface {interface}: ok ({state}, capture permitted)")
