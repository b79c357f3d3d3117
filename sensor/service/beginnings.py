"""Whether the kernel may leave out what comes late in a connection (`docs/semantics.md` 33)."""

from collections.abc import Callable, Iterable

from sensor.capture.cutoff import CutOff
from sensor.errors import HostError, UsageError
from sensor.exchange import Lanes
from sensor.lane import Watch


def cut_off(lanes: Lanes, snap_bytes: int, say: Callable[[str], None]) -> CutOff | None:
    """The filter that lets through what these lanes look at; the caller closes it.

    Args:
        lanes: whose flow tables see no other packets then.
        snap_bytes: of the capture.
        say: shows a person why there is no such filter, where the kernel has or permits none.

    Raises:
        UsageError: as `require_beginnings` does.
    """
    require_beginnings(lanes)
    schemas = [lane.table.schema for lane in lanes]
    most = max(schema.n for schema in schemas)
    soonest_ms = min(schema.idle_timeout_ms for schema in schemas)
    try:
        return CutOff(most, soonest_ms, snap_bytes)
    except HostError as error:
        say(
            f"every packet is read, as the kernel takes no cut-off here ({error}; it takes CAP_BPF)"
        )
        return None


def require_beginnings(lanes: Lanes) -> None:
    """Refuses a cut-off where something needs more than the beginnings of connections.

    Raises:
        UsageError: a lane looks at packets late in a connection, or counts them.
    """
    if names := measuring(lanes.watches):
        raise UsageError(
            f"--cut-off: {names} is compared with bandwidth and duration of whole flows, which "
            "takes every packet; leave --cut-off out"
        )
    for lane in lanes:
        schema = lane.table.schema
        if schema.policies != ("first",) or schema.key != "five_tuple":
            names = ", ".join(detector.name for detector in lane.detectors)
            raise UsageError(
                f"--cut-off: {names} needs packets late in connections too; leave --cut-off out, "
                "or name models that look at the first packets alone (and perhaps --no-rule)"
            )


def measuring(watches: Iterable[Watch]) -> str:
    """Names of the detectors whose classes are ranges of what whole flows come to; empty if none.

    The trial of a shadow counts too.
    """
    return ", ".join(
        watch.detector.name
        for watch in watches
        if watch.annotator and any(each.measured for each in watch.annotator.annotations)
    )
