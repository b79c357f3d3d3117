"""The status as text for node_exporter's textfile collector (Prometheus' text format 0.0.4).

https://prometheus.io/docs/instrumenting/exposition_formats/. What is written is a function of the
status document (`docs/health.md`), so the two never disagree. Nothing that traffic can choose is in
a label: tasks, models, interfaces and reasons are all bounded.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sensor
from sensor.model.score_counts import BINS

_Labels = Mapping[str, object]
_Sample = tuple[_Labels, float]

_COUNTERS = (
    ("packets_total", "packets", "Frames that the source delivered."),
    ("bytes_total", "bytes", "Their bytes on the wire."),
    ("kernel_drops_total", "kernel_drops", "Frames lost as they were not read in time."),
    ("offload_packets_total", "offloaded", "Decoded packets of more than 1500 bytes."),
    ("offload_frames_total", "offload_frames", "Frames that were merged before capture."),
    ("bypassed_packets_total", "bypassed", "Frames that the capture was not shown."),
    ("cut_packets_total", "cut", "Frames left out by the cut-off."),
    ("flows_total", "flows", "Flows that began."),
    ("clock_steps_total", "clock_steps", "How often the clock of packets was set back."),
    ("rows_skipped_total", "sequences_skipped", "Sequences of long flows that were not scored."),
    ("rows_shed_total", "shed", "Rows that no detector was given, as detection fell behind."),
    ("rows_scored_total", "scored", "Rows that a model looked at."),
    ("rows_computed_total", "computed", "Rows for which a model had to compute."),
    ("rows_remembered_total", "remembered", "Rows whose score was known."),
    ("alerts_written_total", "alerts_written", "Lines written to the alert log."),
    ("alerts_lost_total", "alerts_lost", "Lines that could not be written."),
    ("log_write_errors_total", "alert_log_failures", "Failed attempts to write or open the log."),
    ("flow_events_written_total", "flow_events_written", "Lines written to the flow log."),
    ("flow_events_lost_total", "flow_events_lost", "Lines of it that could not be written."),
    ("flow_ends_shed_total", "flow_ends_shed", "Ends of flows that were not looked at."),
    ("unrecorded_packets_total", "frames_unrecorded", "Frames that were not recorded."),
)
"""Name, entry of the statistics, help."""


class _Text:
    """Lines of metrics, each name once, with its help and its type."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, name: str, kind: str, text: str, samples: Iterable[_Sample]) -> None:
        """A gauge or a counter; without samples there is nothing to tell."""
        of_samples = [_line(f"multa_{name}", *sample) for sample in samples]
        if of_samples:
            self._begin(name, kind, text)
            self.lines += of_samples

    def value(self, name: str, kind: str, text: str, value: float) -> None:
        """One without labels."""
        self.add(name, kind, text, [({}, value)])

    def histogram(
        self, name: str, text: str, series: Iterable[tuple[_Labels, Mapping[str, Any]]]
    ) -> None:
        """Of values that are counted as by `sensor.service.health.measures.Histogram`."""
        begun = False
        for labels, found in series:
            if not begun:
                self._begin(name, "histogram", text)
                begun = True
            so_far = 0
            for bound, count in zip((*found["bounds"], "+Inf"), found["counts"], strict=True):
                so_far += count
                self.lines.append(_line(f"multa_{name}_bucket", {**labels, "le": bound}, so_far))
            self.lines.append(_line(f"multa_{name}_sum", labels, round(found["sum"], 6)))
            self.lines.append(_line(f"multa_{name}_count", labels, so_far))

    def _begin(self, name: str, kind: str, text: str) -> None:
        self.lines += [f"# HELP multa_{name} {text}", f"# TYPE multa_{name} {kind}"]


def text(status: Mapping[str, Any]) -> str:
    """The whole file of a status document, which has no statistics while the sensor starts."""
    out = _Text()
    out.add("build_info", "gauge", "Version.", [({"version": sensor.__version__}, 1)])
    states = ("healthy", "degraded", "starting", "down")
    state = [({"state": each}, int(status["state"] == each)) for each in states]
    out.add("state", "gauge", "1 for the state that the sensor is in.", state)
    out.value(
        "status_write_failures_total",
        "counter",
        "Failed attempts to write status and metrics.",
        status["status_failures"],
    )
    if "statistics" in status:
        _of_capture(out, status)
        _of_flows(out, status)
        _of_detection(out, status)
        _of_annotations(out, status["statistics"]["annotations"])
    return "\n".join(out.lines) + "\n"


def _of_capture(out: _Text, status: Mapping[str, Any]) -> None:
    counts = status["statistics"]
    up = [
        ({"interface": name}, int(each["blind"] is None))
        for name, each in status["interfaces"].items()
    ]
    out.add("up_interface", "gauge", "0 while nothing can be seen of an interface.", up)
    blind = status["coverage"]["time"]["blind_seconds"].items()
    of_interfaces = [({"interface": name}, seconds) for name, seconds in blind]
    out.add("blind_seconds_total", "counter", "How long that was so.", of_interfaces)
    if counts["last_packet"]:
        last = datetime.strptime(counts["last_packet"], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
        out.value("last_packet_timestamp_seconds", "gauge", "Greatest time of a frame.", last)
    for name, entry, about in _COUNTERS:
        out.value(name, "counter", about, counts[entry])
    refused = [({"reason": reason}, count) for reason, count in counts["refused"].items()]
    out.add("decode_errors_total", "counter", "Frames that were not decoded.", refused)


def _of_flows(out: _Text, status: Mapping[str, Any]) -> None:
    counts, coverage, table = status["statistics"], status["coverage"], status["flow_table"]
    out.value("flows_active", "gauge", "Flows in the table.", table["active"])
    out.value("flow_table_capacity", "gauge", "Flows that fit.", table["capacity"])
    evicted = [({"reason": "table_full"}, counts["flows_evicted"])]
    out.add("flows_evicted_total", "counter", "Flows that made room for others.", evicted)
    flows = coverage["flows"]
    about = "Flows of which a row was looked at."
    out.value("flows_scored_total", "counter", about, flows["looked_at"])
    shed = [({"reason": "shed"}, flows["shed"])]
    out.add("flows_unscored_total", "counter", "Flows whose first row was not looked at.", shed)
    rows = [({"reason": reason}, count) for reason, count in counts["sequences"].items()]
    out.add("rows_total", "counter", "Rows that were decided.", rows)
    waiting = coverage["rows"]["waiting"]
    out.value("queue_depth", "gauge", "Rows on their way to detection.", waiting)


def _of_detection(out: _Text, status: Mapping[str, Any]) -> None:
    counts, measures = status["statistics"], status["measures"]
    models = [
        ({**each, "model": name, "shadow": str(each["shadow"]).lower()}, 1)
        for each in map(dict, status["models"])
        for name in (each.pop("name"),)
    ]
    out.add("model_info", "gauge", "Detectors in force.", models)
    out.histogram(
        "inference_seconds",
        "Time that detection took for a batch of rows, inference and incidents.",
        [({}, measures["batch_seconds"])],
    )
    out.histogram(
        "detection_latency_seconds",
        "From the packet time of an event to its line in the alert log.",
        [({}, measures["latency_seconds"])],
    )
    alerts = _by_task(counts["alerts"])
    out.add("alerts_total", "counter", "Alerts, those withheld included.", alerts)
    incidents = _by_task(counts["incidents"])
    out.add("incidents_total", "counter", "Incidents that began.", incidents)
    withheld = [({**labels, "reason": "rate"}, n) for labels, n in _by_task(status["withheld"])]
    about = "Alerts kept out of the log as there were too many."
    out.add("alerts_suppressed_total", "counter", about, withheld)
    allowed = _by_task(status["allowed"])
    about = "Positive rows that an allow rule let pass."
    out.add("rows_allowed_total", "counter", about, allowed)
    out.histogram(
        "score",
        "Calibrated scores of rows; the sum is that of the middles of the buckets.",
        [(labels, _scores(bins)) for labels, bins in _by_task(measures["scores"])],
    )
    drift = [each for each in _by_task(status["drift"]) if each[1] is not None]
    about = "Population stability index of scores against harmless traffic in training."
    out.add("drift_psi", "gauge", about, drift)
    reloads = status["reloads"]
    results = [({"result": result}, reloads[result]) for result in ("ok", "failed")]
    out.add("reloads_total", "counter", "Reloads of the configuration.", results)
    failures = [({"reason": reason}, n) for reason, n in reloads["model_failures"].items()]
    out.add("model_load_failures_total", "counter", "Bundles that were refused.", failures)


def _of_annotations(out: _Text, models: Mapping[str, Any]) -> None:
    tasks = [
        ({"model": name, "task": task}, each)
        for name, model in models.items()
        for task, each in model["tasks"].items()
    ]
    flows = [
        ({"model": name, "state": state}, model[state])
        for name, model in models.items()
        for state in ("ended", "forgotten")
    ]
    out.add("annotated_flows_total", "counter", "Flows that something was said of.", flows)
    going_on = [({"model": name}, model["open"]) for name, model in models.items()]
    out.add("annotated_flows_open", "gauge", "Those of them that go on.", going_on)
    told = [
        ({**labels, "class": name}, count)
        for labels, each in tasks
        for name, count in each["told"].items()
    ]
    out.add("annotations_total", "counter", "Ended flows by the class that was named.", told)
    abstained = [(labels, each["abstained"]) for labels, each in tasks]
    about = "Ended flows of which no class was named."
    out.add("annotations_abstained_total", "counter", about, abstained)
    measured = [(labels, each) for labels, each in tasks if "judged" in each]
    judged = [(labels, each["judged"]) for labels, each in measured]
    about = "Flows with a class named and the true one known."
    out.add("annotations_judged_total", "counter", about, judged)
    right = [(labels, each["right"]) for labels, each in measured]
    out.add("annotations_right_total", "counter", "Those of them that were right.", right)
    for key, about in (
        ("accuracy", "Share of the last judged flows that were right."),
        ("majority", "Share of them that are of the commonest class."),
    ):
        lately = [(labels, each["lately"][key]) for labels, each in measured if each["lately"]]
        out.add(f"annotation_{key}", "gauge", about, lately)
    drift = [(labels, each["drift"]["psi"]) for labels, each in tasks if each["drift"]]
    about = "Population stability index of the named classes against those of the test."
    out.add("annotation_drift_psi", "gauge", about, drift)


def _by_task(values: Mapping[str, Any]) -> list[tuple[dict[str, object], Any]]:
    """Entries of an object whose keys are a detector's label, ``/`` and a task."""
    found: list[tuple[dict[str, object], Any]] = []
    for name, value in values.items():
        model, _, task = name.rpartition("/")
        found.append(({"model": model, "task": task}, value))
    return found


def _scores(bins: list[int]) -> dict[str, Any]:
    middles = sum(count * (place + 0.5) / BINS for place, count in enumerate(bins))
    # The last bin ends at 1, and nothing is beyond it.
    bounds = [round((place + 1) / BINS, 2) for place in range(BINS)]
    return {"bounds": bounds, "counts": [*bins, 0], "sum": middles}


def _line(name: str, labels: _Labels, value: float) -> str:
    if not labels:
        return f"{name} {value}"
    of_labels = ",".join(f'{key}="{_escaped(str(each))}"' for key, each in labels.items())
    return f"{name}{{{of_labels}}} {value}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
