"""``multa-sensor check``: would a run start?"""

import contextlib
import os
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
    exit status. Nothing is left behind: an alert log that did not exist is created and removed.

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
        _try_log(Path(os.path.realpath(output)))
        click.echo(f"alert log {output}: ok (can be appended to)")
    if interface is not None:
        with contextlib.closing(Ring(interface, block_bytes=1 << 16, blocks=8)) as ring:
            state = f"{ring.blindness}, a run would wait for it" if ring.blindness else "up"
            click.echo(f"interface {interface}: ok ({state}, capture permitted)")


def _try_log(path: Path) -> None:
    """Opens the log; one that was not there is removed, as its owner should be who writes it."""
    existed = os.path.lexists(path)
    AlertLog(str(path), strict=False).close()
    if not existed and path.stat().st_size == 0:
        path.unlink()
