"""What a detector says of flows: rows and ends in, flow events out, its own accuracy counted.

A row is annotated when it is looked at, which may happen twice: early, and when it is full. The
flow's end then tells the true class of what the sensor can measure itself.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sensor.annotations.flow_event import FlowEvents, end_events, prediction_events
from sensor.annotations.predictions import ABSTAINED, NOT_COUNTED, Predictions, prediction_type
from sensor.annotations.tally import UNKNOWN, Tally
from sensor.flows.ends import FlowEnds
from sensor.flows.sequences import END_REASONS, SequenceBatch
from sensor.hops import hop
from sensor.model.schema import AnnotationSpec, TaskSpec

WHYS = ("midstream", "evicted", "unfinished")
"""Why the volume and duration of a flow are not known, in this order: its beginning is missing; it
had to make room for others; its stream ended before it had been silent for the idle timeout."""

_EVICTED = END_REASONS.index("evicted")


@runtime_checkable
class Annotating(Protocol):
    """A detector with categorical tasks; see `sensor.lane.Detector`.

    Attributes:
        annotations: categorical tasks; their classes stand in the columns of `look`, behind those
            of `tasks`.
    """

    name: str
    version: str
    tasks: tuple[TaskSpec, ...]
    annotations: tuple[AnnotationSpec, ...]

    def look(self, batch: SequenceBatch) -> NDArray[np.float32]:
        """``(b, columns)`` scores and probabilities; NaN where a row does not count for a task."""
        ...


class Annotator:
    """Of one detector.

    Attributes:
        annotations: of the detector.
        tallies: one for each of them, of the flows that have ended.
        predicted, ended: flows with a prediction so far, and those of them that have ended.
        unknown: ended flows of which volume and duration are not known, ``(len(WHYS),)``.
    """

    def __init__(self, detector: Annotating) -> None:
        """Starts without flows."""
        self.annotations = detector.annotations
        self.tallies = tuple(Tally(each) for each in self.annotations)
        self.predicted = self.ended = 0
        self.unknown = np.zeros(len(WHYS), np.int64)
        self._events: list[FlowEvents] = []
        self._detector = detector
        self._predictions = Predictions(len(self.annotations))

    @property
    def least_packets(self) -> int:
        """With fewer packets a flow is not annotated."""
        return min(each.least_packets for each in self.annotations)

    @property
    def open(self) -> int:
        """Flows with a prediction whose end has not come."""
        return len(self._predictions)

    @property
    def forgotten(self) -> int:
        """Flows with a prediction whose end is not waited for any more."""
        return self._predictions.forgotten

    def look(self, rows: SequenceBatch, *, tell: bool = True) -> NDArray[np.float32]:
        """Looks at rows, and keeps what is said of their flows.

        Args:
            rows: the next ones.
            tell: whether there are to be events.

        Returns:
            ``(b, tasks)`` the scores of the binary tasks, as `Detector.score` gives them.
        """
        columns = self._detector.look(rows)
        tasks = len(self._detector.tasks)
        self._predict(rows, columns[:, tasks:], tell=tell)
        return columns[:, :tasks]

    @hop("annotate")
    def _predict(self, rows: SequenceBatch, columns: NDArray[np.float32], *, tell: bool) -> None:
        records = np.zeros(len(rows), prediction_type(len(self.annotations)))
        start = 0
        for place, annotation in enumerate(self.annotations):
            part = columns[:, start : start + len(annotation.classes)]
            start += len(annotation.classes)
            best = part.argmax(axis=1)
            confidence = np.take_along_axis(part, best[:, None], axis=1)[:, 0]
            told = np.where(
                confidence.astype(np.float64) < annotation.abstain_below, ABSTAINED, best
            )
            records["told"][:, place] = np.where(np.isnan(confidence), NOT_COUNTED, told)
            records["confidence"][:, place] = confidence
        some = np.flatnonzero((records["told"] != NOT_COUNTED).any(axis=1))
        if not some.size:
            return
        records = records[some]
        records["ordinal"], records["used"] = rows.flow_ordinal[some], rows.length[some]
        self.predicted += self._predictions.put(records)
        if tell:
            self._tell(prediction_events(rows, some, records))

    @hop("annotate")
    def end(self, ends: FlowEnds, *, tell: bool = True) -> None:
        """Takes in flows that have ended, after all of their rows; `tell` as in `look`."""
        if not len(ends):
            return
        found, records = self._predictions.take(ends.flow_ordinal)
        if not found.size:
            return
        ends = ends.take(found)
        why = np.select([ends.midstream, ends.end_reason == _EVICTED], [0, 1], 2)
        self.unknown += np.bincount(why[~ends.whole], minlength=len(WHYS))
        self.ended += found.size
        true = np.full(records["told"].shape, UNKNOWN, np.uint8)
        for place, (annotation, tally) in enumerate(
            zip(self.annotations, self.tallies, strict=True)
        ):
            if annotation.measured:
                true[:, place] = np.where(ends.whole, true_class(annotation, ends), UNKNOWN)
            tally.add(ends.ended_ns, records["told"][:, place], true[:, place])
        if tell:
            self._tell(end_events(ends, records, true, why))

    def forget(self) -> None:
        """Forgets what was said of flows whose ends have not come, as none will."""
        self._predictions.clear()

    def take_events(self) -> list[FlowEvents]:
        """Events since this was last asked, in no order."""
        events, self._events = self._events, []
        return events

    def _tell(self, events: NDArray[np.void]) -> None:
        if events.size:
            self._events.append(FlowEvents(self._detector, events))


def true_class(annotation: AnnotationSpec, ends: FlowEnds) -> NDArray[np.intp]:
    """``(f,)`` the class in whose range lies what was measured of each flow."""
    return np.searchsorted(annotation.edges, measured(annotation, ends), side="right")


def measured(annotation: AnnotationSpec, ends: FlowEnds) -> NDArray[np.float64]:
    """``(f,)`` the quantity of the flows: IP bits a second, or seconds."""
    return ends.bandwidth_bps if annotation.measured == "bandwidth" else ends.duration_ns / 1e9


def annotator_of(detector: object) -> Annotator | None:
    """The annotator of a detector that has categorical tasks; None for any other."""
    if isinstance(detector, Annotating) and detector.annotations:
        return Annotator(detector)
    return None


def least_packets(annotators: Sequence[Annotator]) -> int | None:
    """With fewer packets no end of a flow is wanted by any of them; None where none is at all."""
    return min((each.least_packets for each in annotators), default=None)
