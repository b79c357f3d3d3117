"""Evidence of the demonstration capture's incidents, as a replay leaves it."""

import tempfile
from functools import cache
from pathlib import Path

from command import ROOT

from sensor.alerts.sinks import EventLog
from sensor.capture.files import CaptureFiles
from sensor.capture.formats import open_capture
from sensor.model.bundle import Bundle
from sensor.reporting.evidence_files import Evidence, read
from sensor.reporting.explanation import Explanation, explain
from sensor.service.evidence_store import EvidenceStore
from sensor.service.lanes import Detecting, build_lanes
from sensor.service.run import Run

DEMO = ROOT / "tests" / "captures" / "demo.pcap"
BUNDLE = ROOT / "models" / "iot-gateway"


def write_evidence(
    capture: Path, folder: Path, chunk_bytes: int | None = None, bundle: Path = BUNDLE
) -> EvidenceStore:
    """Replays a capture, read in chunks of so many bytes, and keeps the evidence in a folder."""
    lanes = build_lanes(Detecting([bundle], proved=True, evidence=True))
    opener = open_capture
    if chunk_bytes:
        opener = lambda path, _: open_capture(path, chunk_bytes)  # noqa: E731
    packets, log = CaptureFiles([str(capture)], opener), EventLog("/dev/null", strict=True)
    store = EvidenceStore(folder, 64 << 20)
    try:
        Run(packets.counters, lanes, log, evidence=store).over(packets)
    finally:
        log.close()
        packets.close()
    return store


@cache
def demo() -> dict[str, Evidence]:
    """By task; of several incidents of a task the one with most rows seen."""
    with tempfile.TemporaryDirectory() as folder:
        write_evidence(DEMO, Path(folder))
        found = sorted(map(read, Path(folder).iterdir()), key=lambda each: each.seen)
    return {each.alert.task: each for each in found}


@cache
def explained(task: str) -> Explanation:
    """The incident of a task, with four rows one by one."""
    return explain(demo()[task], None if task == "flow_rate" else Bundle.read(BUNDLE), 4)
