"""Whether something is said of flows, and the log into which a live run writes it."""

from sensor.alerts.sinks import EventLog
from sensor.errors import UsageError
from sensor.exchange import Lanes
from sensor.service.config.settings import COMMAND_LINE, Settings

FLOW_EVENTS = "flow events"
"""What is in a flow log, as errors say."""


def annotates(lanes: Lanes) -> bool:
    """Whether a bundle in force says of flows which class they are."""
    return any(watch.annotator and not watch.shadow for watch in lanes.watches)


def require_annotations(lanes: Lanes) -> None:
    """Proves that a flow log which somebody has asked for will have something in it.

    Raises:
        UsageError: no bundle in force annotates flows.
    """
    if not annotates(lanes):
        raise UsageError(
            "--flows: none of the models says of flows which class they are; name one that does "
            "(--models DIR), or leave --flows out"
        )


def open_flow_log(settings: Settings, lanes: Lanes) -> EventLog | None:
    """The flow log of a live run, if there is to be one; it is the caller's to close.

    Where nothing is said of flows yet it is not opened before the first line: a reload may bring
    a bundle that says something.

    Raises:
        UsageError: it was asked for on the command line, and no bundle annotates flows.
        OutputError: it can't be opened.
    """
    if settings.flows.log is None:
        return None
    if settings.origin("flows.log") == COMMAND_LINE:
        require_annotations(lanes)
    path, limit_bytes = str(settings.flows.log), settings.flows.limit_mib << 20
    at_once = annotates(lanes)
    return EventLog(path, strict=False, limit_bytes=limit_bytes, at_once=at_once, of=FLOW_EVENTS)
