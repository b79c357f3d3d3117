"""``multa-sensor replay``: detect in capture files."""

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import click

from sensor import hops
from sensor.alerts.sinks import STDOUT, EventLog
from sensor.capture.files import CaptureFiles
from sensor.cli import options, say, visible
from sensor.errors import MultaError, OutputError, UsageError
from sensor.extract import raise_if_truncated
from sensor.service.configured import detecting
from sensor.service.evidence_store import EvidenceStore
from sensor.service.flow_log import FLOW_EVENTS, require_annotations
from sensor.service.independent import replay_each
from sensor.service.lanes import Detecting, build_lanes
from sensor.service.progress import with_progress
from sensor.service.run import Run
from sensor.service.summary import Summary


@click.command()
@options.files
@options.config
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
    help="Where alerts go, as JSON lines; a file is replaced.",
)
@options.flows
@click.option(
    "--evidence",
    type=options.folder,
    metavar="DIR",
    help="Keep the rows behind each alert in this folder, for `explain --evidence DIR`; one that "
    "is not there is made.",
)
@options.stats
@options.profile
@options.summary
@click.option(
    "--independent",
    is_flag=True,
    help="Replay each file by itself, not all as one stream; alerts tell theirs as pcap_filename.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes for --independent.  [default: one for each processor]",
)
@click.option("--fail-on-alert", is_flag=True, help="Exit with 1 if there was an alert.")
def replay(
    files: tuple[str, ...],
    models: tuple[Path, ...],
    *,
    config: Path | None,
    source: str,
    no_models: bool,
    no_rule: bool,
    home_net: tuple[str, ...],
    output: str,
    flows: str | None,
    evidence: Path | None,
    stats: str | None,
    profile: bool,
    summary: bool,
    independent: bool,
    jobs: int | None,
    fail_on_alert: bool,
) -> None:
    """Detect in capture files and write alerts.

    Files are pcap or pcapng, also compressed with gzip; several are read as one stream in order
    of time, or each by itself with --independent, and - is standard input. The same files give the
    same alerts, byte for byte. A file that ends within a packet is processed to there, and the exit
    status is 80. A configuration decides by its home networks, models, severities and allow rules.

    \b
    Examples:
      multa-sensor replay monday.pcap tuesday.pcap -o alerts.json
      multa-sensor replay monday.pcap --home-net 192.168.1.0/24,2001:db8:1::/48 --summary
      multa-sensor replay monday.pcap --config /etc/multa/sensor.toml --summary
      multa-sensor replay monday.pcap -o alerts.json --evidence evidence
      multa-sensor replay monday.pcap -m models/traffic-class -o alerts.json --flows flows.json
      multa-sensor replay monday.pcap -o alerts.json --profile
      multa-sensor replay --independent malware/*.pcap -o alerts.json --stats stats.jsonl
      tcpdump -w - -c 10000 | multa-sensor replay - --stats stats.json
    """  # noqa: D301 -- click's mark for lines to leave alone
    given = options.detection(models, home_net, no_models=no_models, no_rule=no_rule)
    options.require_file("--flows", flows)
    options.keep_apart(files, output, flows, stats)
    if jobs and not independent:
        raise UsageError("--jobs needs --independent; one stream is read by one process")
    if independent:
        if summary or profile or evidence or "-" in files:
            raise UsageError(
                "--independent goes with files, not with -, --summary, --profile or --evidence"
            )
        settings = options.settings(config, given)
        wanted = detecting(settings)
        lanes = build_lanes(wanted)
        if flows:
            require_annotations(lanes)
        severity, processes = settings.alerts.severity, jobs or os.cpu_count() or 1
        outputs = _Outputs(output, flows, stats)
        alerts = _each(files, wanted, severity, source, outputs, processes)
        sys.exit(1 if fail_on_alert and alerts else 0)
    packets = CaptureFiles(files, options.opener(source))
    try:
        settings = options.settings(config, given)
        lanes = build_lanes(replace(detecting(settings), evidence=evidence is not None))
        if flows:
            require_annotations(lanes)
        profiled = hops.start() if profile else None
        statistics_file = options.open_statistics(stats, output)
        with contextlib.ExitStack() as opened:
            log, flow_log = _open_logs(output, flows, opened)
            told = Summary(lanes) if summary or sys.stderr.isatty() else None
            limit_bytes = settings.evidence.limit_mib << 20
            kept = EvidenceStore(evidence, limit_bytes) if evidence else None
            run = Run(packets.counters, lanes, log, told, evidence=kept, flow_log=flow_log)
            run.adopt(settings.allow, settings.alerts.severity)
            run.over(with_progress(packets, hidden=options.shares_terminal(output)))
    finally:
        packets.close()
    if profiled:
        options.show_profile(profiled, run.statistics)
    run.statistics.truncated = packets.truncated
    if statistics_file:
        statistics_file.write(run.statistics)
    if told:
        names = [Path(name).name for name in files]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        told.show(visible(names[0]) + more, run.statistics)
    if kept and kept.failures:
        raise OutputError(f"{evidence}: {kept.failures} files of evidence could not be written")
    raise_if_truncated(packets.truncated)
    if fail_on_alert and run.statistics.alerts.total():
        sys.exit(1)


def _open_logs(
    output: str, flows: str | None, opened: contextlib.ExitStack
) -> tuple[EventLog, EventLog | None]:
    """The logs of alerts and of what is said of flows, which are closed with the stack."""

    def fresh(path: str, of: str = "alerts") -> EventLog:
        return opened.enter_context(contextlib.closing(options.open_fresh_log(path, of)))

    return fresh(output), fresh(flows, FLOW_EVENTS) if flows else None


@dataclass(frozen=True)
class _Outputs:
    """What the options of their names say."""

    output: str
    flows: str | None
    stats: str | None


def _each(
    files: tuple[str, ...],
    wanted: Detecting,
    severity: Mapping[str, int],
    source: str,
    outputs: _Outputs,
    jobs: int,
) -> int:
    """Replays the files one by one, says what is wrong with any, and counts their alerts."""
    statistics_file = options.open_statistics(outputs.stats, outputs.output)
    lines, failures, alerts = [], list[MultaError](), 0
    with contextlib.ExitStack() as opened:
        logs = _open_logs(outputs.output, outputs.flows, opened)
        open_file, jobs = options.opener(source), min(jobs, len(files))
        replayed = replay_each(files, wanted, open_file, logs, jobs, severity)
        hidden = not sys.stderr.isatty() or options.shares_terminal(outputs.output)
        with click.progressbar(
            replayed, len(files), file=sys.stderr, width=40, hidden=hidden
        ) as told:
            for each in told:
                alerts += each.alerts
                lines.append(json.dumps({"pcap_filename": each.path, **each.statistics}) + "\n")
                if each.failure:
                    failures.append(each.failure)
    if statistics_file:
        statistics_file.write_text("".join(lines))
    for failure in failures:
        say(f"error: {failure}")
    if failures:
        sys.exit(failures[0].exit_status)
    return alerts
