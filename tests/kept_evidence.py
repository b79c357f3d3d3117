"""Evidence as a live run keeps it, of a capture file."""

from dataclasses import replace
from pathlib import Path

from command import ROOT

from sensor.alerts.sinks import AlertLog
from sensor.capture.formats import open_capture
from sensor.service.configured import detecting
from sensor.service.evidence_store import EvidenceStore
from sensor.service.lanes import build_lanes
from sensor.service.run import Run
from sensor.service.settings import Settings

DEMO = ROOT / "tests/captures/demo.pcap"


def keep(folder: Path, log: Path, capture: Path = DEMO) -> None:
    """Detects in a capture with the shipped bundle, and keeps evidence and alerts."""
    wanted = replace(detecting(Settings()), evidence=True)
    source, written = open_capture(capture), AlertLog(str(log), strict=True)
    store = EvidenceStore(folder, 64 << 20)
    try:
        Run(source.counters, build_lanes(wanted), written, evidence=store).over(source)
    finally:
        source.close()
        written.close()
