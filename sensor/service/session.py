"""A live run with all that it opens: from settings to the end of the capture.

The order in which things are opened is that in which they may be missed: a status that says
``starting``, the interface, the proved models, the logs, the ring, and last the recording, as a
start that fails should leave none that is in the next one's way.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sensor.alerts.sinks import STDOUT, EventLog
from sensor.capture.block import PacketBlock
from sensor.capture.record import Recorder, recorded
from sensor.capture.ring import SNAP_BYTES
from sensor.errors import MultaError, OutputError
from sensor.exchange import Lanes
from sensor.packets.headers import Headers
from sensor.pipeline import Packets
from sensor.service import beginnings
from sensor.service.config.settings import Settings
from sensor.service.configured import detecting
from sensor.service.devices.devices import Devices
from sensor.service.evidence_store import EvidenceStore
from sensor.service.flow_log import open_flow_log
from sensor.service.footprint import release_code
from sensor.service.health.coverage import label
from sensor.service.health.health import Health
from sensor.service.health.statistics import Statistics, StatisticsFile
from sensor.service.health.status_output import StatusOutput
from sensor.service.lanes import build_lanes, optional_of
from sensor.service.live import Attendant, UntilFailure, limited, within
from sensor.service.reload import Reload
from sensor.service.run import Run
from sensor.service.signals import Signals
from sensor.service.sources import Opener, open_source
from sensor.service.summary import Summary
from sensor.service.workers.workers import Workers


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run is asked for beside its settings.

    Attributes:
        record: file to which every frame is written, or None.
        open_statistics: opens where the counters go at the end, if anywhere; called once the
            models are proved.
        duration_s, count: after which the run ends by itself; None for never.
        summary: whether what was found is told at the end.
    """

    record: str | None = None
    open_statistics: Callable[[], StatisticsFile | None] = lambda: None
    duration_s: float | None = None
    count: int | None = None
    summary: bool = False


class Session:
    """One live run."""

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        wanted: Wanted,
        signals: Signals,
        say: Callable[[str], None],
    ) -> None:
        """Opens nothing yet.

        Args:
            settings: of the run, which make sense (`sensor.service.sources.require_sense`).
            read: reads them anew, for a reload.
            wanted: of this run.
            signals: handled already.
            say: shows a line to a person, and does not wait for that.
        """
        self._settings, self._read, self._wanted = settings, read, wanted
        self._signals, self._say = signals, say

    def run(self) -> None:
        """Opens everything, detects until the capture ends, and tells what was found.

        Raises:
            MultaError: something can't be opened, the capture failed, or an output could not be
                written.
        """
        with contextlib.ExitStack() as opened:
            self._open(opened)
            failure = self._watch()
        if self._statistics_file:
            self._statistics_file.write(self._statistics)
        if self._summary:
            self._summary.show(self._ring.interface, self._statistics)
        if failure:
            raise failure
        self._raise_if_lost()

    def _open(self, opening: contextlib.ExitStack) -> None:
        settings, keep, say = self._settings, opening.enter_context, self._say
        capture, health = settings.capture, settings.health
        status = StatusOutput(health.status, health.metrics, health.interval_s, say)
        keep(status)
        opener = Opener(str(capture.tap) if capture.tap else None, opening)
        if capture.source == "native":
            opener.require(capture.interfaces)  # an unknown name is told before models are proved
        self._lanes = lanes = build_lanes(detecting(settings, live=True))
        self._statistics_file = self._wanted.open_statistics()
        # Whoever reads standard output can't come back, but a full disk can be emptied.
        output, limit_bytes = settings.alerts.output, settings.alerts.limit_mib << 20
        self._log = log = EventLog(output, strict=output == STDOUT, limit_bytes=limit_bytes)
        keep(contextlib.closing(log))
        if log.unread:
            say(f"{output}: nobody reads this pipe yet; alerts wait in memory")
        shadow_log = None
        if settings.models.shadow_log:
            path = str(settings.models.shadow_log)
            shadow_log = EventLog(path, strict=False, limit_bytes=limit_bytes, at_once=False)
            keep(contextlib.closing(shadow_log))
        self._flow_log = flow_log = open_flow_log(settings, lanes)
        if flow_log:
            keep(contextlib.closing(flow_log))
        cutting = beginnings.cut_off(lanes, SNAP_BYTES, say) if capture.cut_off else None
        if cutting:
            keep(contextlib.closing(cutting))
        recording, optional = self._wanted.record is not None, optional_of(lanes)
        self._ring = ring = open_source(capture, opener, optional, cutting, recording=recording)
        keep(contextlib.closing(ring))
        self._recorder = Recorder(self._wanted.record) if self._wanted.record else None
        if self._recorder:
            keep(contextlib.closing(self._recorder))
        self._summary = Summary(lanes) if self._wanted.summary else None
        kept = settings.evidence
        evidence = EvidenceStore(kept.directory, kept.limit_mib << 20) if kept.directory else None
        workers = ring if isinstance(ring, Workers) else None
        self._run = Run(
            ring.counters, lanes, log, self._summary, workers, evidence, shadow_log, flow_log
        )
        self._statistics: Statistics = self._run.statistics
        self._neighbours = opener.neighbours
        self._adoption(settings)()
        self._attendant = Attendant(
            ring,
            log,
            self._recorder,
            self._statistics,
            self._signals,
            say,
            *(each for each in (shadow_log, flow_log) if each),
        )
        self._attendant.reload_with(
            Reload(settings, self._read, lanes, optional, self._adoption, say)
        )
        self._health = Health(
            status,
            ring,
            self._statistics,
            lanes,
            self._attendant.handover,
            log,
            say,
            silence_s=health.silence_s,
        )
        self._health.keeps(evidence)
        self._health.tries(shadow_log)
        self._health.annotates(flow_log)
        self._health.allow_with(lambda: self._run.allow)
        self._health.include("shadow", lanes.agreement)
        self._attendant.tell_health_to(self._health)

    def _adoption(self, settings: Settings) -> Callable[[], None]:
        """What takes up, in the thread that detects, what may change while the run goes on.

        Raises:
            MultaError: it is wrong.
        """
        network = settings.network
        neighbours = self._neighbours if network.neighbours else None
        devices = Devices(network.devices, network.leases, neighbours)
        return partial(self._run.adopt, settings.allow, settings.alerts.severity, devices.of)

    def _watch(self) -> MultaError | None:
        ring, wanted, attendant, run = self._ring, self._wanted, self._attendant, self._run
        release_code()
        self._say(f"watching {ring.interface} with {_names(self._lanes)}")
        heard: UntilFailure[tuple[Headers, int]] | UntilFailure[PacketBlock]
        if isinstance(ring, Workers):
            heard = UntilFailure(within(ring, wanted.duration_s))
            packets: Packets = attendant.attended(heard)
        else:
            heard = UntilFailure(limited(ring, wanted.count, wanted.duration_s))
            blocks = attendant.attended(heard)
            packets = run.decoded(recorded(blocks, self._recorder) if self._recorder else blocks)
        run.live(packets, ring.interface, attendant.handover, attendant.look_at_log)
        self._health.write(time.monotonic())  # what the end of the stream has decided too
        return heard.failure

    def _raise_if_lost(self) -> None:
        """Ends the run with the status of an output that could not be written, if one was not."""
        lost, log, recorder = [], self._log, self._recorder
        if log.lost:
            lost.append(f"{log.path}: {log.lost} alerts could not be written and are lost")
        if (flows := self._flow_log) and flows.lost:
            lost.append(f"{flows.path}: {flows.lost} events could not be written and are lost")
        if recorder and recorder.unrecorded:
            lost.append(
                f"{recorder.path}: {recorder.unrecorded} frames could not be recorded "
                f"({recorder.failure})"
            )
        if lost:
            raise OutputError("; ".join(lost))


def _names(lanes: Lanes) -> str:
    return ", ".join(map(label, lanes.watches))
