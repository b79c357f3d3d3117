"""``multa-sensor run``: detect on a network interface."""

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from sensor.alerts.sinks import OLD_SUFFIX, STDOUT, AlertLog
from sensor.capture.block import PacketBlock
from sensor.capture.record import Recorder, recorded
from sensor.capture.ring import SNAP_BYTES
from sensor.cli import completion, options, say_soon
from sensor.errors import ConfigurationError, OutputError, UsageError
from sensor.exchange import Lanes
from sensor.packets.headers import Headers
from sensor.pipeline import Packets
from sensor.service import beginnings
from sensor.service.configured import detecting
from sensor.service.devices import Devices
from sensor.service.evidence_store import EvidenceStore
from sensor.service.footprint import release_code
from sensor.service.health import Health
from sensor.service.lanes import build_lanes, optional_of
from sensor.service.live import Attendant, UntilFailure, limited, within
from sensor.service.reload import Reload
from sensor.service.run import Run
from sensor.service.settings import DEFAULT_PATH, Settings
from sensor.service.signals import Signals
from sensor.service.sources import (
    RECORDING_MIB,
    USUAL_MIB,
    WORKER_MIB,
    Opener,
    open_source,
    require_sense,
)
from sensor.service.status_output import StatusOutput
from sensor.service.summary import Summary
from sensor.service.workers import Workers

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
    help="Configuration (docs/configuration.md), in place of which options are taken.  [default: "
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
    """  # noqa: D301 -- click's mark for lines to leave alone
    signals = Signals()
    with signals.handled(), contextlib.ExitStack() as opened:
        config = config or (None if interfaces else _default())
        given = {
            "capture.interfaces": interfaces or None,
            "capture.promiscuous": False if no_promiscuous else None,
            **options.given(_PARAMETERS),
            **options.detection(models, home_net, no_models=no_models, no_rule=no_rule),
        }
        settings = _settings(config, given)
        capture, output = settings.capture, settings.alerts.output
        require_sense(capture, record, count)
        if record == STDOUT:
            raise UsageError("--record can't write to standard output; name a file or a pipe")
        # What a full log becomes would replace whatever else has that name.
        options.keep_apart((), output, f"{os.path.realpath(output)}{OLD_SUFFIX}", record, stats)
        health = settings.health
        status = StatusOutput(health.status, health.metrics, health.interval_s, say_soon)
        opened.enter_context(status)
        opener = Opener(str(capture.tap) if capture.tap else None, opened)
        if capture.source == "native":
            opener.require(capture.interfaces)  # an unknown name is told before models are proved
        lanes = build_lanes(detecting(settings, live=True))
        statistics_file = options.open_statistics(stats, output, waits=False)
        with contextlib.ExitStack() as opened_for_run:
            keep = opened_for_run.enter_context
            # Whoever reads standard output can't come back, but a full disk can be emptied.
            limit_bytes = settings.alerts.limit_mib << 20
            log = AlertLog(output, strict=output == STDOUT, limit_bytes=limit_bytes)
            keep(contextlib.closing(log))
            if log.unread:
                say_soon(f"{output}: nobody reads this pipe yet; alerts wait in memory")
            shadow_log = None
            if settings.models.shadow_log:
                shadow_path = str(settings.models.shadow_log)
                shadow_log = AlertLog(shadow_path, strict=False, limit_bytes=limit_bytes)
                keep(contextlib.closing(shadow_log))
            cutting = beginnings.cut_off(lanes, SNAP_BYTES, say_soon) if capture.cut_off else None
            if cutting:
                keep(contextlib.closing(cutting))
            recording = record is not None
            optional = optional_of(lanes)
            ring = open_source(capture, opener, optional, cutting, recording=recording)
            keep(contextlib.closing(ring))
            # Last, as a start that fails should leave no recording that is in the next one's way.
            recorder = keep(contextlib.closing(Recorder(record))) if record else None
            told = Summary(lanes) if summary or sys.stderr.isatty() else None
            kept = settings.evidence
            chain = Run(
                ring.counters,
                lanes,
                log,
                told,
                ring if isinstance(ring, Workers) else None,
                EvidenceStore(kept.directory, kept.limit_mib << 20) if kept.directory else None,
                shadow_log,
            )
            adopt = partial(_adopt, chain, opener.neighbours)
            adopt(settings)
            attendant = Attendant(
                ring, log, recorder, chain.statistics, signals, say_soon, shadow_log
            )
            reload = Reload(
                settings, lambda: _settings(config, given), lanes, optional, adopt, say_soon
            )
            attendant.reload_with(reload)
            watched = Health(
                status,
                ring,
                chain.statistics,
                lanes,
                attendant.handover,
                log,
                say_soon,
                silence_s=health.silence_s,
            )
            watched.allow_with(lambda: chain.allow)
            watched.include("shadow", lanes.agreement)
            attendant.tell_health_to(watched)
            release_code()
            say_soon(f"watching {ring.interface} with {_names(lanes)}")
            heard: UntilFailure[tuple[Headers, int]] | UntilFailure[PacketBlock]
            if isinstance(ring, Workers):
                heard = UntilFailure(within(ring, duration))
                packets: Packets = attendant.attended(heard)
            else:
                heard = UntilFailure(limited(ring, count, duration))
                blocks = attendant.attended(heard)
                packets = chain.decoded(recorded(blocks, recorder) if recorder else blocks)
            chain.live(packets, ring.interface, attendant.handover, attendant.look_at_log)
            watched.write(time.monotonic())  # what the end of the stream has decided too
        if statistics_file:
            statistics_file.write(chain.statistics)
        if told:
            told.show(ring.interface, chain.statistics)
        if heard.failure:
            raise heard.failure
        _raise_if_lost(log, output, recorder)


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
    if not settings.capture.interfaces:
        raise ConfigurationError(
            f"{config}: capture.interfaces: names none; write one like "
            'interfaces = ["eth0"] under [capture], or give -i NAME'
        )
    return settings


def _adopt(run: Run, neighbours: str, settings: Settings) -> None:
    """Has a run take up what may change while it goes on."""
    network = settings.network
    devices = Devices(network.devices, network.leases, neighbours if network.neighbours else None)
    run.adopt(settings.allow, settings.alerts.severity, devices.of)


def _raise_if_lost(log: AlertLog, output: str, recorder: Recorder | None) -> None:
    """Ends the run with the status of an output that could not be written, if one was not."""
    lost = []
    if log.lost:
        lost.append(f"{output}: {log.lost} alerts could not be written and are lost")
    if recorder and recorder.unrecorded:
        lost.append(
            f"{recorder.path}: {recorder.unrecorded} frames could not be recorded "
            f"({recorder.failure})"
        )
    if lost:
        raise OutputError("; ".join(lost))


def _names(lanes: Lanes) -> str:
    return ", ".join(detector.name for lane in lanes for detector in lane.detectors)
