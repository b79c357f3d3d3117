import re

import pytest
from command import ROOT
from prometheus_client.parser import text_string_to_metric_families

from sensor import __version__
from sensor.service.health.metrics import text

STARTING = {"state": "starting", "status_failures": 2}

RUNNING = {
    "state": "healthy",
    "status_failures": 0,
    "interfaces": {'wl"an\\n0': {"blind": None}, "eth0": {"blind": "is down"}},
    "statistics": {
        "packets": 10, "bytes": 640, "kernel_drops": 1, "offloaded": 2, "offload_frames": 3,
        "bypassed": 4, "cut": 5, "flows": 6, "clock_steps": 0, "sequences_skipped": 7, "shed": 8,
        "scored": 9, "computed": 11, "remembered": 12, "alerts_written": 13, "alerts_lost": 14,
        "alert_log_failures": 15, "frames_unrecorded": 16, "flows_evicted": 17,
        "flow_events_written": 18, "flow_events_lost": 19, "flow_ends_shed": 20,
        "annotations": {
            "traffic-class": {
                "predicted": 30, "ended": 21, "open": 5, "forgotten": 4,
                "tasks": {
                    "traffic": {"told": {"video": 9}, "abstained": 3, "drift": None},
                    "speed": {
                        "told": {"slow": 10, "fast": 11}, "abstained": 0, "drift": {"psi": 0.2},
                        "judged": 20, "right": 15,
                        "lately": {"accuracy": 0.75, "majority": 0.5},
                    },
                    "seconds": {
                        "told": {}, "abstained": 1, "drift": None, "judged": 0, "right": 0,
                        "lately": None,
                    },
                },
            }
        },
        "last_packet": "2023-11-14T22:13:20.500000+0000",
        "refused": {"not_ip": 3, "truncated_ip": 0},
        "sequences": {"full": 2, "idle": 4},
        "alerts": {"iot-gateway/scan": 4}, "incidents": {"iot-gateway/scan": 1},
    },
    "coverage": {
        "time": {"blind_seconds": {'wl"an\\n0': 0.0, "eth0": 2.5}},
        "flows": {"looked_at": 5, "shed": 1},
        "rows": {"waiting": 3},
    },
    "flow_table": {"active": 4, "capacity": 65_536},
    "models": [
        {"name": "iot-gateway", "version": "3", "sha256": "ab", "manifest_sha256": "cd",
         "shadow": False}
    ],
    "measures": {
        "batch_seconds": {"bounds": [0.1, 1.0], "counts": [2, 1, 4], "sum": 6.5},
        "latency_seconds": {"bounds": [0.5], "counts": [0, 0], "sum": 0.0},
        "scores": {"iot-gateway/scan": [8] + [0] * 18 + [2]},
    },
    "withheld": {"iot-gateway/scan": 2},
    "allowed": {"iot-gateway/scan": 6},
    "drift": {"iot-gateway/scan": 0.31, "iot-gateway (shadow)/scan": None},
    "reloads": {"ok": 2, "failed": 1, "model_failures": {"bundle": 1}, "failure": "x"},
}  # fmt: skip


def samples(status):
    """Values by name and labels, as Prometheus reads them; labels but their names apart."""
    families = list(text_string_to_metric_families(text(status)))
    return families, {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_every_metric_is_read_and_described():
    families, _ = samples(RUNNING)
    assert len(families) > 40
    for family in families:
        assert family.name.startswith("multa_")
        assert family.documentation
        assert family.type in ("gauge", "counter", "histogram")
        if family.type == "counter":
            assert {sample.name for sample in family.samples} == {f"{family.name}_total"}


def test_values_are_those_of_the_status():
    _, found = samples(RUNNING)
    assert found["multa_build_info", __version__] == 1
    assert found["multa_packets_total",] == 10
    assert found["multa_last_packet_timestamp_seconds",] == 1_700_000_000.5
    assert found["multa_up_interface", 'wl"an\\n0'] == 1
    assert found["multa_up_interface", "eth0"] == 0
    assert found["multa_blind_seconds_total", "eth0"] == 2.5
    assert found["multa_decode_errors_total", "not_ip"] == 3
    assert found["multa_decode_errors_total", "truncated_ip"] == 0
    assert found["multa_flows_scored_total",] == 5
    assert found["multa_flows_unscored_total", "shed"] == 1
    assert found["multa_flows_evicted_total", "table_full"] == 17
    assert found["multa_queue_depth",] == 3
    assert found["multa_flow_table_capacity",] == 65_536
    assert found["multa_model_info", "3", "ab", "cd", "false", "iot-gateway"] == 1
    assert found["multa_alerts_total", "iot-gateway", "scan"] == 4
    assert found["multa_alerts_suppressed_total", "iot-gateway", "scan", "rate"] == 2
    assert found["multa_rows_allowed_total", "iot-gateway", "scan"] == 6
    assert found["multa_drift_psi", "iot-gateway", "scan"] == 0.31
    assert ("multa_drift_psi", "iot-gateway (shadow)", "scan") not in found
    assert found["multa_reloads_total", "failed"] == 1
    assert found["multa_model_load_failures_total", "bundle"] == 1
    assert found["multa_state", "healthy"] == 1
    assert found["multa_state", "degraded"] == 0


def test_of_annotations_only_what_is_known_is_told():
    _, found = samples(RUNNING)
    model = "traffic-class"
    assert found["multa_annotated_flows_total", model, "ended"] == 21
    assert found["multa_annotated_flows_total", model, "forgotten"] == 4
    assert found["multa_annotated_flows_open", model] == 5
    assert found["multa_annotations_total", model, "traffic", "video"] == 9
    assert found["multa_annotations_total", model, "speed", "fast"] == 11
    assert found["multa_annotations_abstained_total", model, "traffic"] == 3
    of_tasks = {
        (name, task): value
        for (name, *labels), value in found.items()
        if labels[:1] == [model] and name.startswith("multa_annotation") and len(labels) == 2
        for task in labels[1:]
    }
    assert of_tasks["multa_annotations_judged_total", "speed"] == 20
    assert of_tasks["multa_annotations_right_total", "speed"] == 15
    assert of_tasks["multa_annotation_accuracy", "speed"] == 0.75
    assert of_tasks["multa_annotation_majority", "speed"] == 0.5
    assert of_tasks["multa_annotation_drift_psi", "speed"] == 0.2
    assert ("multa_annotations_judged_total", "traffic") not in of_tasks
    assert ("multa_annotation_accuracy", "seconds") not in of_tasks
    assert ("multa_annotation_drift_psi", "traffic") not in of_tasks


def test_buckets_are_cumulative():
    _, found = samples(RUNNING)
    batches = [found["multa_inference_seconds_bucket", bound] for bound in ("0.1", "1.0", "+Inf")]
    assert batches == [2, 3, 7]
    assert found["multa_inference_seconds_count",] == 7
    assert found["multa_inference_seconds_sum",] == 6.5
    score = {key[-1]: value for key, value in found.items() if key[0] == "multa_score_bucket"}
    assert (score["0.05"], score["0.95"], score["1.0"], score["+Inf"]) == (8, 8, 10, 10)
    assert len(score) == 21
    # eight rows in the middle of the first bin, two in the middle of the last
    sum_of_scores = found["multa_score_sum", "iot-gateway", "scan"]
    assert sum_of_scores == pytest.approx(8 * 0.025 + 2 * 0.975)


def test_at_the_start_there_is_little_to_tell():
    _, found = samples(STARTING)
    assert found["multa_state", "starting"] == 1
    assert found["multa_status_write_failures_total",] == 2
    assert not [key for key in found if "packets" in key[0]]


def test_without_a_packet_no_time_is_told():
    status = {**RUNNING, "statistics": {**RUNNING["statistics"], "last_packet": None}}
    assert "last_packet" not in text(status)


def test_the_page_lists_every_metric():
    page = (ROOT / "docs" / "health.md").read_text()
    families, _ = samples(RUNNING)
    told = set(re.findall(r"`multa_([a-z_]+)", page))
    suffix = {"counter": "_total"}
    names = {family.name + suffix.get(family.type, "") for family in families}
    assert told == {name.removeprefix("multa_") for name in names}
