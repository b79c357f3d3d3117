"""The leakage audit: it finds a planted leak, stops the recipe, and spares what is legitimate."""

import json
import re

import pytest
from toy_recordings import toy_recording

from sensor.errors import LeakError
from trainer.audit import TABLE, Finding, audit, findings_table, require_no_leak, write_findings
from trainer.cli import main
from trainer.cli.extract import extract_all
from trainer.datasets.dataset import load
from trainer.datasets.extraction import parse_recordings
from trainer.tasks import chosen

TOOL = 133
"""Bytes that the planted tool's SYNs carry, in the recordings that are learnt from alone."""


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Findings by task and input, of recordings with and without the planted leak."""
    found = {}
    for planted in (0, TOOL):
        folder = tmp_path_factory.mktemp(f"toy{planted}")
        for seed in range(4):
            syn_payload = planted if seed < 2 else 0
            toy_recording(folder / f"rec{seed}", seed, syn_payload=syn_payload)
        extract_all(parse_recordings([str(folder)], benign=False), folder / "ds")
        dataset = load([folder / "ds"])
        learnt = dataset.source < 2
        findings = audit(dataset, chosen(dataset.tasks), learnt, ~learnt)
        found[planted] = {(each.task, each.kind, each.name): each for each in findings}
    return found


def test_what_tells_the_attack_in_all_sources_is_no_leak(audited):
    clean = audited[0]
    require_no_leak(list(clean.values()), "toys")
    # Hand-made: 600 SYNs to one address in 5 s, so about 120 a second; benign ones come alone.
    counts = clean["syn_dos", "context", "srv_1s"]
    assert counts.in_source > 0.99
    assert counts.left_out > 0.99


def test_a_tool_s_size_that_only_the_learnt_sources_have_is_a_leak(audited):
    findings = audited[TOOL]
    leak = findings["syn_dos", "field", "payload_length"]
    assert leak.in_source == pytest.approx(1.0, abs=1e-3)
    assert leak.left_out <= 0.6
    assert leak.leaks
    assert {key for key, each in findings.items() if each.leaks} <= {
        ("syn_dos", "field", "payload_length"),
        ("syn_dos", "field", "ip_length"),
    }
    assert not findings["syn_dos", "context", "srv_1s"].leaks
    with pytest.raises(LeakError, match=r"toys: field .*_length alone tells syn_dos") as raised:
        require_no_leak(list(findings.values()), "toys")
    assert "\n" not in str(raised.value)


def test_every_field_channel_and_context_field_is_looked_at(audited):
    of_task = {key[1:] for key in audited[0] if key[0] == "syn_dos"}
    assert len({key[0] for key in audited[0]}) == 3
    assert {("field", "ip_length"), ("channel", "tcp_flags.syn"), ("context", "dst_10s")} <= of_task
    assert len(of_task) == 7 + 8 + 6  # fields; flags and protocols; context


@pytest.mark.parametrize(
    ("in_source", "left_out", "leaks"),
    [
        (0.996, 0.54, True),  # the first four: a pre-study's TTL, padding, window and srv
        (0.998, 0.50, True),
        (0.90, 0.08, True),
        (0.95, 0.92, False),
        (0.62, 0.50, False),
        (0.90, 0.61, False),
        (1.0, float("nan"), False),
    ],
)
def test_the_criterion(in_source, left_out, leaks):
    assert Finding("t", "field", "f", in_source, left_out).leaks == leaks


def test_a_task_without_one_of_the_classes_has_no_findings(tmp_path):
    for seed in range(2):
        toy_recording(tmp_path / f"rec{seed}", seed, attacks=False)
    extract_all(parse_recordings([str(tmp_path)], benign=False), tmp_path / "ds")
    dataset = load([tmp_path / "ds"])
    assert audit(dataset, chosen(dataset.tasks), dataset.source < 1, dataset.source == 1) == []


def test_findings_are_written_worst_first_and_without_nan(tmp_path):
    found = [Finding("t", "field", "a", 0.9, 0.9), Finding("t", "field", "b", 0.95, 0.4)]
    found.append(Finding("t", "field", "c", 0.9, float("nan")))
    write_findings(found, tmp_path / TABLE)
    entries = json.loads((tmp_path / TABLE).read_text())
    assert entries[0]["name"] == "b"
    assert [entry["leaks"] for entry in entries if entry["name"] == "b"] == [True]
    assert [entry["left_out"] for entry in entries if entry["name"] == "c"] == [None]
    assert "| t | field b | 0.950 | 0.400 | **yes** |" in findings_table(found)


def test_a_recipe_stops_before_it_trains(tmp_path, capsys):
    listed = 'version = "1"\ndescription = "toys"\n'
    for seed, part in enumerate(("train", "train", "validation", "test")):
        folder = tmp_path / f"out/recordings/mixed-{seed}"
        toy_recording(folder, seed, syn_payload=TOOL if part == "train" else 0)
        made = {"scenario": "mixed", "seed": seed, "duration_s": 120}
        (folder / "recording.json").write_text(json.dumps(made))
        lines = {"part": part, **made}.items()
        listed += "[[recordings]]\n" + "".join(f"{key} = {value!r}\n" for key, value in lines)
    (tmp_path / "toys.toml").write_text(listed)
    (tmp_path / "toy.toml").write_text(
        f'version = "1"\nrecordings = "{tmp_path}/toys.toml"\ntasks = ["syn_dos"]\n'
        "[training]\nseeds = [1]\nfalse_incidents_per_day = 1\n"
    )
    with pytest.raises(SystemExit) as stopped:
        main(
            [
                "recipe",
                str(tmp_path / "toy.toml"),
                "--work",
                str(tmp_path / "out"),
                "--out",
                str(tmp_path / "model"),
            ]
        )
    assert stopped.value.code == LeakError.exit_status == 85
    shown = capsys.readouterr().err
    assert re.search(
        r"_length alone tells syn_dos within the training sources \(AUC (1|0.99)", shown
    )
    assert "training 1 networks" not in shown
    assert not (tmp_path / "model").exists()
    assert any(entry["leaks"] for entry in json.loads((tmp_path / "out" / TABLE).read_text()))
