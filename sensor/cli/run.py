"""``multa-sensor run``: detect on a network interface."""

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from sensor.alerts.sinks import OLD_SUFFIX, STDOUT
from sensor.cli import completion, options, say_soon
from sensor.service.config.settings import DEFAULT_PATH, Settings
from sensor.service.session import Session, Wanted
from sensor.service.signals import Signals
from sensor.service.sources import (
    RECORDING_MIB,
    USUAL_MIB,
    WORKER_MIB,
    require_sense,
)

_PARAMETERS = {
    "capture.source": "source",
    "capture.buffer_mib": "buffer",
    "capture.workers": "workers",
    "capture.cut_off": "cut_off",
    "capture.tap": "tap",
    "alerts.output": "output",
}
"""Keys of the configuration, and the options that go before them as they are."""


@click.command()
@click.option(
    "--interface",
    "-i",
    "interfaces",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.interfaces,
    help="Where to capture; `interfaces` lists. May be given again: all are one stream, in which "
    "a packet that passes two of them (a bridge and its port) counts twice. Without it the "
    "configuration names them.",
)
@click.option(
    "--config",
    type=options.folder,
    metavar="FILE",
    help="Configuration (docs/configuration.md); options go before what it says.  [default: "
    f"{DEFAULT_PATH}, if no interface is given]",
)
@options.source
@options.models
@options.no_models
@options.no_rule
@options.home_net
@click.option(
    "--output",
    "-o",
    default=STDOUT,
    show_default=True,
    metavar="FILE|-",
    help="Where alerts go, as JSON lines; a file is appended to, and becomes FILE.old at 64 MiB. "
    "A configuration has a default of its own.",
)
@options.flows
@click.option(
    "--record",
    metavar="FILE",
    help="Also write every frame to a new capture file, whose replay gives the same alerts. An "
    "older one is never replaced; %Y, %m, %d, %H, %M, %S in the name are the time of the start.",
)
@options.stats
@click.option("--duration", type=click.FloatRange(min=0), metavar="S", help="End after S seconds.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N packets.")
@click.option(
    "--buffer",
    type=click.IntRange(min=2, max=2048),
    metavar="MIB",
    help=f"Memory for frames that wait to be read.  [default: {USUAL_MIB}, with "
    f"--record {RECORDING_MIB}, at least {WORKER_MIB} a worker]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1, max=64),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes that share the frames and decode them, beside the one that detects; 1 is none "
    "beside it. Alerts are the same.",
)
@click.option(
    "--cut-off",
    is_flag=True,
    help="Let the kernel drop what comes late in connections (eBPF; takes CAP_BPF, else every "
    "packet is read); only for models that look at first packets alone, which the shipped one and "
    "the counting rule do not.",
)
@click.option(
    "--tap",
    type=options.folder,
    metavar="PATH",
    help="Take packet sockets from the `multa-sensor tap` that listens there; the run itself then "
    "needs no privilege.",
)
@click.option(
    "--no-promiscuous", is_flag=True, help="Leave out frames that are for other stations."
)
@options.summary
def run(
    interfaces: tuple[str, ...],
    models: tuple[Path, ...],
    *,
    config: Path | None,
    no_models: bool,
    no_rule: bool,
    home_net: tuple[str, ...],
    flows: str | None,
    record: str | None,
    stats: str | None,
    duration: float | None,
    count: int | None,
    no_promiscuous: bool,
    summary: bool,
    **_given: object,
) -> None:
    """Detect on a network interface and write alerts, until SIGTERM or Ctrl-C.

    It takes CAP_NET_RAW and nothing else, and with --tap not even that. SIGUSR1 shows the counters.
    SIGHUP opens the alert log anew and takes up what has changed in the configuration and in the
    bundles, if all of it is right. An interface that goes away is waited for, but not by tshark,
    whose end is the run's.

    \b
    Examples:
      multa-sensor run
      multa-sensor run -i br-lan -o /var/log/multa/alerts.json
      multa-sensor run -i br-lan --home-net 192.168.1.0/24,2001:db8:1::/48 -o alerts.json
      multa-sensor run -i eth0 --duration 60 --record minute.pcap --stats -  -o alerts.json
      multa-sensor run -i eth1 -i wlan0 -o alerts.json
      multa-sensor run -i eth0 --workers 2 -o alerts.json
      multa-sensor run -i br-lan -m models/traffic-class -o alerts.json --flows flows.json
    """  # noqa: D301 -- click's mark for lines to leave alone
    signals = Signals()
    with signals.handled():
        config = config or (None if interfaces else _default())
        given = {
            "capture.interfaces": interfaces or None,
            "capture.promiscuous": False if no_promiscuous else None,
            "flows.log": Path(flows) if flows else None,
            **options.given(_PARAMETERS),
            **options.detection(models, home_net, no_models=no_models, no_rule=no_rule),
        }
        settings = _settings(config, given)
        capture, output = settings.capture, settings.alerts.output
        require_sense(capture, record, count)
        options.require_file("--record", record)
        options.require_file("--flows", flows)
        # What a full log becomes would replace whatever else has that name.
        logs = [output, *([str(settings.flows.log)] if settings.flows.log else [])]
        full = [f"{os.path.realpath(each)}{OLD_SUFFIX}" for each in logs]
        options.keep_apart((), *logs, *full, record, stats)
        wanted = Wanted(
            record=record,
            open_statistics=partial(options.open_statistics, stats, output, waits=False),
            duration_s=duration,
            count=count,
            summary=summary or sys.stderr.isatty(),
        )
        Session(settings, lambda: _settings(config, given), wanted, signals, say_soon).run()


def _default() -> Path:
    """The configuration of an installation.

    Raises:
        click.MissingParameter: there is none, so an interface has to be named.
    """
    if os.path.lexists(DEFAULT_PATH):
        return DEFAULT_PATH
    context = click.get_current_context()
    raise click.MissingParameter(
        f"{DEFAULT_PATH} does not exist either",
        context,
        next(each for each in context.command.params if each.name == "interfaces"),
    )


def _settings(config: Path | None, given: Mapping[str, Any]) -> Settings:
    """What the run works by, at its start and at a reload.

    Raises:
        MultaError: the configuration is missing or wrong, or names no interface.
    """
    settings = options.settings(config, given)
    options.require_interface(config, settings)
    return settings
