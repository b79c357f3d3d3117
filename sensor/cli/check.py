"""``multa-sensor check``: would a run start?"""

import contextlib
import os
from pathlib import Path

import click

from sensor.alerts.sinks import STDOUT, EventLog
from sensor.capture.interfaces import describe
from sensor.capture.ring import Ring
from sensor.cli import completion, options, visible
from sensor.model.detector import BundleDetector
from sensor.service.beginnings import require_beginnings
from sensor.service.config.setting_tables import Capture
from sensor.service.config.settings import DEFAULT_PATH
from sensor.service.configured import detecting
from sensor.service.flow_log import FLOW_EVENTS, annotates
from sensor.service.lanes import build_lanes


@click.command()
@click.option(
    "--config",
    type=options.folder,
    metavar="FILE",
    help="Configuration (docs/configuration.md); options go before what it says.  [default: "
    f"{DEFAULT_PATH}, if it exists and no interface is given]",
)
@options.models
@options.no_models
@click.option("--output", "-o", metavar="FILE", help="The alert log.")
@click.option(
    "--interface",
    "-i",
    "interfaces",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.interfaces,
    help="Where a run would capture; may be given again.",
)
def check(
    models: tuple[Path, ...],
    *,
    config: Path | None,
    no_models: bool,
    output: str | None,
    interfaces: tuple[str, ...],
) -> None:
    """Prove that a run would start: configuration, models, logs, interface and permission.

    Each is told on a line of standard output; the first that is wrong ends the check with its
    exit status. Where neither a configuration nor an option names an interface, none is tried.
    Nothing is left behind: a log that did not exist is created and removed.

    \b
    Examples:
      multa-sensor check
      multa-sensor check -i br-lan -o /var/log/multa/alerts.json
      multa-sensor check -m models/mine
    """  # noqa: D301 -- click's mark for lines to leave alone
    if config is None and not interfaces and os.path.lexists(DEFAULT_PATH):
        config = DEFAULT_PATH
    settings = options.settings(
        config,
        {
            "capture.interfaces": interfaces or None,
            "alerts.output": output,
            **options.detection(models, no_models=no_models),
        },
    )
    for path in settings.files:
        click.echo(visible(f"configuration {path}: ok"))
    lanes = build_lanes(detecting(settings, live=True))
    for lane in lanes:
        for detector in lane.detectors:
            if isinstance(detector, BundleDetector):
                bundle = detector.bundle
                click.echo(
                    f"model {bundle.path}: ok ({bundle.name} {bundle.version}, "
                    f"{detector.runtime}, golden vectors answered)"
                )
    if settings.capture.cut_off:
        require_beginnings(lanes)
        click.echo("cut-off: ok (the models look at the beginnings of connections alone)")
    log = settings.alerts.output
    if log != STDOUT:
        _try_log(Path(os.path.realpath(log)))
        click.echo(f"alert log {log}: ok (can be appended to)")
    flow_log = settings.flows.log
    if flow_log and annotates(lanes):
        _try_log(Path(os.path.realpath(flow_log)), FLOW_EVENTS)
        click.echo(visible(f"flow log {flow_log}: ok (can be appended to)"))
    if config is not None:
        options.require_interface(config, settings)
    for name in settings.capture.interfaces:
        _tell_interface(name, settings.capture)


def _tell_interface(name: str, capture: Capture) -> None:
    """Opens the interface as a run would; a tap opens it in another process."""
    if capture.tap:
        found = describe(name)
        click.echo(f"interface {name}: ok ({found.state}, captured by the tap at {capture.tap})")
        return
    with contextlib.closing(Ring(name, block_bytes=1 << 16, blocks=8)) as ring:
        state = f"{ring.blindness}, a run would wait for it" if ring.blindness else "up"
        click.echo(f"interface {name}: ok ({state}, capture permitted)")


def _try_log(path: Path, of: str = "alerts") -> None:
    """Opens the log; one that was not there is removed, as its owner should be who writes it."""
    existed = os.path.lexists(path)
    EventLog(str(path), strict=False, of=of).close()
    if not existed and path.stat().st_size == 0:
        path.unlink()
