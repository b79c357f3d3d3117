"""What a report tells of a sensor's health, from its status file (`docs/health.md`).

A status file is read like any other foreign document: an entry that is missing, or of another
shape than expected, is left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sensor.quantities import duration
from sensor.reporting.alert_log import moment
from sensor.reporting.report_markup import Cell, count, table, when

_SHOWN = 100
"""Entries of a list or an object that are shown."""

_STATES = ("healthy", "degraded", "starting", "down")

_BINS = 1_000
"""Of a histogram, at most."""

_DROPS = (
    ("kernel_drops", "frames lost: the ring was full"),
    ("shed", "rows not looked at: detection was too slow"),
    ("alerts_lost", "alerts lost: the log could not be written"),
    ("alerts_withheld", "alerts withheld: too many at once"),
    ("frames_unrecorded", "frames not recorded"),
    ("bypassed", "frames that hardware or XDP kept from the capture"),
    ("offload_frames", "frames put together by the capturing machine"),
    ("packets_late", "packets later than the clock"),
    ("flows_evicted", "flows decided early: the table was full"),
)
"""Counters of the statistics that say what went missing, with what each means."""


@dataclass(frozen=True)
class Histogram:
    """Scores of a task of a model: ``len(edges) - 1`` counts."""

    name: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Health:
    """A status file, or the statistics of a run, as far as they are understood.

    Attributes:
        document: the whole.
        statistics: counters of the run.
    """

    document: Mapping[str, Any] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Health":
        """Of the object in a status file, or of that of ``--stats``."""
        if "packets" in document and "state" not in document:
            return cls(statistics=document)
        return cls(document, _object(document.get("statistics")))

    @property
    def state(self) -> str:
        """As the status says it; empty without one that is known."""
        state = self.document.get("state")
        return state if state in _STATES else ""

    @property
    def reasons(self) -> list[str]:
        """For the state."""
        return [str(each) for each in _list(self.document.get("reasons"))]

    @property
    def written(self) -> datetime | None:
        """When the status was written."""
        return moment(self.document.get("written"))

    def blind(self) -> list[tuple[datetime, datetime, str]]:
        """Intervals in which nothing was seen: beginning, end and a text.

        What goes on ends when the status was written.
        """
        return [(each.start, each.stop, each.text) for each in self._blind()]

    def blind_s(self) -> float:
        """How long that was altogether, in seconds."""
        return sum(each.seconds for each in self._blind())

    def histograms(self) -> Iterator[Histogram]:
        """Scores of all rows by model and task."""
        scores = _object(_object(self.document.get("measures")).get("scores"))
        for name, value in list(scores.items())[:_SHOWN]:
            counts = [max(0, n) for n in _list(value)[:_BINS] if isinstance(n, int)]
            if any(counts):
                edges = tuple(place / len(counts) for place in range(len(counts) + 1))
                yield Histogram(str(name), edges, tuple(counts))

    def lost(self) -> list[tuple[str, int]]:
        """What went missing, in words, with its number; nothing that is 0."""
        found = [(text, self.counter(name)) for name, text in _DROPS]
        return [(text, number) for text, number in found if number]

    def counter(self, name: str) -> int:
        """A counter of the statistics; 0 where there is none."""
        value = self.statistics.get(name)
        return value if isinstance(value, int) else 0

    def sections(self) -> Iterator[str]:
        """Markup of each part that there is something to tell of."""
        yield from self._about_blindness()
        yield from self._about_coverage()
        yield from self._about_losses()
        yield from self._about_models()
        yield from self._about_rules()

    def _blind(self) -> Iterator["_Blind"]:
        for each in _list(self.document.get("blind"))[-_SHOWN:]:
            entry = _object(each)
            start = moment(entry.get("from"))
            stop = moment(entry.get("to")) or self.written or start
            if start and stop:
                stop, seconds = max(start, stop), entry.get("seconds")
                yield _Blind(
                    str(entry.get("interface") or "all interfaces"),
                    start,
                    stop,
                    _duration_s(seconds, (stop - start).total_seconds()),
                    str(entry.get("why", "")),
                    goes_on=entry.get("to") is None,
                )

    def _about_blindness(self) -> Iterator[str]:
        intervals = list(self._blind())
        if not self.document:
            return
        yield "<h2>Blind intervals</h2>"
        if not intervals:
            yield '<p class="soft">None are known: every interface was seen all the time.</p>'
            return
        rows = [
            [
                when(each.start),
                Cell("still", each.stop.timestamp(), "when") if each.goes_on else when(each.stop),
                Cell(duration(each.seconds), each.seconds, "n"),
                each.interface,
                each.why,
            ]
            for each in intervals
        ]
        caption = "When nothing was seen of an interface; the last 100 are known."
        yield table(caption, ["from", "to", "for", "interface", "why"], rows)

    def _about_coverage(self) -> Iterator[str]:
        coverage = _object(self.document.get("coverage"))
        groups = [
            (name, _object(content))
            for name, content in list(coverage.items())[:_SHOWN]
            if _object(content) and name != "models"
        ]
        by_task = list(_of_models(_object(coverage.get("models"))))
        if not groups and not by_task:
            return
        yield "<h2>Coverage</h2>"
        yield '<p class="soft">How much of what came was looked at, and why the rest was not.</p>'
        yield '<div class="side">'
        for name, content in groups:
            if rows := list(_leaves(content)):
                yield f'<div class="scroll">{table(str(name), ["", "number"], rows)}</div>'
        yield "</div>"
        if by_task:
            heads = ["model", "task", "rows scored", "not counted"]
            yield f'<div class="scroll">{table("models", heads, by_task)}</div>'

    def _about_losses(self) -> Iterator[str]:
        if not self.statistics:
            return
        yield "<h2>Losses</h2>"
        rows = [[text, count(number)] for text, number in self.lost()]
        packets = self.counter("packets")
        if rows:
            yield table(f"Of {packets:,} frames of this run.", ["what", "number"], rows)
        else:
            yield f'<p class="soft">Nothing of {packets:,} frames was lost.</p>'

    def _about_models(self) -> Iterator[str]:
        drift = _object(self.document.get("drift"))
        rows = []
        for each in _list(self.document.get("models"))[:_SHOWN]:
            entry = _object(each)
            shown = [str(entry.get(key, "")) for key in ("name", "version")]
            use = "shadow: raises no alert" if entry.get("shadow") else "active"
            hashes = [str(entry.get(key) or "–") for key in ("sha256", "manifest_sha256")]
            rows.append([*shown, use, *(Cell(each, kind="hash") for each in hashes)])
        if rows:
            yield "<h2>Models</h2>"
            heads = ["name", "version", "use", "SHA-256 of the network", "of the manifest"]
            caption = "What was in force when the status was written."
            yield f'<div class="scroll">{table(caption, heads, rows)}</div>'
        indexes = [
            [str(name), Cell(f"{value:.3f}", value, "n"), _meaning(value)]
            for name, value in list(drift.items())[:_SHOWN]
            if isinstance(value, (int, float))
        ]
        if indexes:
            yield "<h2>Drift</h2>"
            caption = "How far scores lie from those of the training, as population stability index"
            yield table(caption, ["model and task", "index", ""], indexes)

    def _about_rules(self) -> Iterator[str]:
        rules = [_object(each) for each in _list(self.document.get("allow"))[:_SHOWN]]
        rows = [
            [
                str(rule.get("comment", "")),
                ", ".join(f"{k} {v}" for k, v in rule.items() if k != "comment" and _said(v))[:400],
            ]
            for rule in rules
            if rule
        ]
        if rows:
            yield "<h2>Allowed</h2>"
            caption = "Rules for flows that raise no alert."
            yield table(caption, ["comment", "rule"], rows)


@dataclass(frozen=True, slots=True)
class _Blind:
    """An interval in which nothing was seen of an interface; `seconds` are not the clock's."""

    interface: str
    start: datetime
    stop: datetime
    seconds: float
    why: str
    goes_on: bool

    @property
    def text(self) -> str:
        return f"blind: {self.interface}, {self.why}"


def _of_models(models: Mapping[str, Any]) -> Iterator[list[Cell | str]]:
    """Rows that were scored by model and task."""
    for model, content in list(models.items())[:_SHOWN]:
        for task, entry in list(_object(_object(content).get("tasks")).items())[:_SHOWN]:
            numbers = [_object(entry).get(key) for key in ("scored", "not_counted")]
            yield [str(model), str(task), *(count(n if type(n) is int else 0) for n in numbers)]


def _leaves(content: Mapping[str, Any], above: str = "") -> Iterator[list[Cell | str]]:
    """Numbers of nested objects with their names, at most `_SHOWN` of each."""
    for name, value in list(content.items())[:_SHOWN]:
        path = f"{above}{str(name).replace('_', ' ')}"
        if isinstance(value, dict):
            yield from _leaves(value, f"{path} · ") if above.count("·") < 3 else ()
        elif isinstance(value, int) and not isinstance(value, bool):
            yield [path, count(value)]
        elif isinstance(value, float):
            shown = f"{value:.2%}" if "share" in str(name) else f"{value:,.3f}"
            yield [path, Cell(shown, value, "n")]


def _meaning(index: float) -> str:
    """Of a population stability index, by the usual bounds."""
    if index < 0.1:
        return "as in training"
    return "somewhat different" if index < 0.25 else "different: look at the traffic or the model"


def _said(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != ""


def _duration_s(value: Any, otherwise: float) -> float:
    return float(value) if type(value) in (int, float) and 0 <= value < 1e12 else otherwise


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
