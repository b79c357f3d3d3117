"""The second paper's Table III made again: schedule, results, claims, page, and the command."""

import json
import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from command import ROOT
from toy_services import toy_services
from toy_set import Here

keras = pytest.importorskip("keras", reason="needs the extra `trainer`")

from sensor.model.encoding import encode  # noqa: E402
from trainer.cli import main as command  # noqa: E402
from trainer.cli import traffic_class as cli  # noqa: E402
from trainer.executors import Workers  # noqa: E402
from trainer.traffic import approaches, schedule  # noqa: E402
from trainer.traffic.approaches import carry_out  # noqa: E402
from trainer.traffic.claims import NAMES, NOT_RUN, accuracies, outcomes  # noqa: E402
from trainer.traffic.inputs import SCHEMA, TASKS, first, recurrent  # noqa: E402
from trainer.traffic.networks import cnn, cnn_rnn, for_sensor, lmmoe  # noqa: E402
from trainer.traffic.page import PAPER  # noqa: E402
from trainer.traffic.readers import read  # noqa: E402
from trainer.traffic.results import Results  # noqa: E402
from trainer.traffic.training import CANDIDATES, Candidate, Outcome, Training  # noqa: E402

CLASS = TASKS[-1:]
LEAF = Candidate(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("services")
    for seed in range(5):
        toy_services(folder / f"toy-{seed}", seed)
    return folder


@pytest.fixture(scope="module")
def material(folder):
    return read(f"quic:{folder}")


def outcome(right, wrong=0):
    return Outcome({CLASS[0]: [[right, wrong], [0, 0]]}, 1.0, 0)


def test_the_papers_network_has_the_papers_layers():
    """Weights by hand: convolutions 3·in·out + out, 7·128 inputs of the first dense layer."""
    model = cnn(60, {"bandwidth": 5, "duration": 5, "traffic_class": 5})
    sizes = [(2, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)]
    weights = sum(3 * a * b + b for a, b in sizes)
    weights += (7 * 128 + 1) * 256 + 257 * 256 + 3 * 257 * 5
    assert model.count_params() == weights
    kinds = [type(layer).__name__ for layer in model.layers]
    body = ["Conv1D", "Conv1D", "MaxPooling1D"] * 3 + ["Flatten", "Dense", "Dense"]
    assert kinds[1:-3] == body


@pytest.mark.parametrize("network", [cnn, cnn_rnn, lmmoe])
def test_a_head_is_a_distribution_over_its_classes(network):
    model = network(8, {"bandwidth": 5, "traffic_class": 3})
    found = model({"x": np.ones((4, 8, 2 if network is cnn else 3), np.float32)})
    assert {head: tuple(each.shape) for head, each in found.items()} == {
        "bandwidth": (4, 5),
        "traffic_class": (4, 3),
    }
    for each in found.values():
        np.testing.assert_allclose(np.asarray(each).sum(axis=1), 1, atol=1e-5)


def test_what_leaves_for_the_sensor_says_the_same_of_the_sensors_inputs(material):
    model = lmmoe(16, {"traffic_class": 5})
    seen = recurrent(material.rows, 16)["x"]
    expected = model({"x": seen})["traffic_class"]
    for_sensor(model)
    x, _ = encode(SCHEMA, first(material.rows, 16), steps=16).expand(length=16)
    assert abs(x).max() < abs(seen).max()
    np.testing.assert_allclose(model({"x": x})["traffic_class"], expected, atol=1e-6)


def test_a_forest_tells_toy_services_and_the_tested_flows_alone_are_counted(material):
    told = carry_out(material, Training("forest", CLASS, 0, 0, LEAF))
    counts = np.array(told.confusion[CLASS[0]])
    assert counts.sum(axis=1).tolist() == [4] * 5  # one of five recordings
    assert told.accuracy(CLASS[0]) > 0.9
    fewer = carry_out(material, Training("forest", CLASS, 5, 0, LEAF, tested=False))
    assert np.array(fewer.confusion[CLASS[0]]).sum() == 20


def test_the_body_stays_where_the_head_is_replaced(material, monkeypatch):
    """Without further steps, what transfer learning ends with is the body that it began with."""
    monkeypatch.setattr(approaches, "steps_of", lambda *_: 2)
    training = Training("transfer", CLASS, 10, 1, Candidate(1e-3), packets=8)
    carry_out(material, training)
    (((_, before), body),) = approaches._BODIES.items()
    assert before.tasks == TASKS[:2]
    monkeypatch.setattr(approaches, "steps_of", lambda *_: 0)
    carry_out(material, training)  # the same body is used again
    after = approaches._learner("transfer", 8, ((CLASS[0], 5),)).model.get_weights()
    assert len(after) == len(body) - 2
    for ours, theirs in zip(after[:-2], body[:-4], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    approaches._BODIES.clear()


def test_the_class_weighs_what_its_labels_are_of_all_flows(material, monkeypatch):
    """12 labels of 60 training flows, λ = 10: the mean over them counts twice as in the sum."""
    begun = []
    monkeypatch.setattr(approaches.Learner, "begin", lambda *given: begun.append(given[2]))
    monkeypatch.setattr(approaches, "steps_of", lambda *_: 0)
    carry_out(material, Training("cnn", TASKS, 12, 0, Candidate(1e-3, 10), packets=8))
    carry_out(material, Training("cnn_alone", CLASS, 12, 0, Candidate(1e-3, 10), packets=8))
    assert begun == [{"bandwidth": 1, "duration": 1, "traffic_class": 2}, {"traffic_class": 1}]


def test_the_share_that_takes_longer_says_how_many_steps_there_are(material, monkeypatch):
    """60 training flows 64 at a time, and 12 or 60 labelled ones 32 at a time, 100 turns."""
    steps = []
    monkeypatch.setattr(approaches.Learner, "teach", lambda *given: steps.append(given[4]))
    monkeypatch.setattr(approaches, "steps_of", lambda rows, size, _: 100 * rows // size)
    for labels in (12, 0):
        carry_out(material, Training("cnn", TASKS, labels, 0, Candidate(1e-3), packets=8))
    assert steps == [93, 187]


def test_the_schedule_of_table_3(material):
    """Of each seed: three forests and three CNN+RNN a count, but bandwidth and duration once."""
    assert schedule.counts(material, (2, 10, 50, 60, 500, 0)) == (10, 50, 0)
    candidates = {name: each[0] for name, each in CANDIDATES.items()}
    found = schedule.main(material, candidates, (10, 50, 0), range(2))
    assert len(found) == len(set(found)) == 2 * (2 * (3 + 2) + 4 * 3)
    assert {(each.labels, each.tasks) for each in found if each.approach == "cnn"} == {
        (count, TASKS) for count in (10, 50, 0)
    }
    tuned = schedule.tuning(material)
    assert {len(each) for each in tuned.values()} == {3}
    assert not any(one.tested for each in tuned.values() for one in each)
    varied = schedule.variations(material, candidates, range(1))
    assert {each.candidate.weight for each in varied["weight"]} == {0.1, 0.3, 1, 3, 10}
    assert {each.packets for each in varied["packets"]} == {8, 16, 32, 60}


def test_a_candidate_is_chosen_on_the_validation_part(material, tmp_path):
    results = Results(material, tmp_path)
    assert results.candidates() == {name: each[1] for name, each in CANDIDATES.items()}
    assert {len(each) for each in CANDIDATES.values()} == {3}
    forests = schedule.tuning(material)["forest"]
    results.make(forests, Workers(Here(), 1), lambda _: None)
    known = results.known(forests)
    best = max(forests, key=lambda each: known[each].accuracy(CLASS[0]))
    assert results.candidates()["forest"] == best.candidate


def test_results_are_kept_and_none_is_of_other_material(material, tmp_path):
    lines = []
    training = Training("forest", CLASS, 10, 0, LEAF)
    for _ in range(2):
        Results(material, tmp_path).make([training], Workers(Here(), 1), lines.append)
    assert len(lines) == 1
    assert "10 labels, seed 0: traffic_class" in lines[0]
    assert Results(material, tmp_path).known([training])[training].parameters == 0
    other = replace(material, label=(material.label + 1) % 5)
    assert not Results(other, tmp_path).known([training])
    assert not Results(material, tmp_path).known([replace(training, seed=1)])


def test_what_holds_is_told_from_the_figures():
    figures = {}
    for approach, right in (
        ("forest", 70), ("cnn_rnn", 60), ("transfer", 65), ("cnn", 75), ("lmmoe", 69),
    ):  # fmt: skip
        for seed in (0, 1):
            training = Training(approach, CLASS, 10, seed, LEAF)
            figures[training] = outcome(right + seed, 100 - right - seed)
    figures[Training("cnn", CLASS, 10, 7, LEAF)] = outcome(0, 100)  # a seed of its own
    figures[Training("cnn", CLASS, 100, 0, LEAF)] = outcome(90, 10)
    figures[Training("lmmoe", CLASS, 100, 0, LEAF)] = outcome(80, 20)
    figures[Training("cnn_rnn", CLASS, 0, 0, LEAF)] = outcome(905, 95)
    assert accuracies(figures, "forest", CLASS[0], 10) == [0.70, 0.71]
    table = outcomes(figures, (10, 100))
    assert [row[2] for row in table[1:]] == ["yes", "no", "yes", "no", "yes"]
    assert table[1][1] == "10: +5.0 points to random forest (ahead in 2 of 2 seeds)"
    assert table[3][1] == "-0.5 points"
    assert table[5][1] == "70.5 %"
    assert [row[1] for row in outcomes({}, (10,))[1:]] == [NOT_RUN] * 5


def test_the_papers_cells_are_the_papers():
    assert PAPER[10][0] == (48.67,)
    assert PAPER[100] == ((86.67,), (89.33, 92.0, 85.33), (92.67,), (90.67, 92.0, 97.33))


def test_the_command_goes_on_where_it_stopped_and_says_what_is_missing(
    folder, tmp_path, monkeypatch, capsys
):
    @contextmanager
    def here(_):
        yield Workers(Here(), 1)

    monkeypatch.setattr(cli, "executor", here)
    monkeypatch.setattr(schedule, "APPROACHES", ("forest", "cnn"))
    monkeypatch.setattr(schedule, "TOGETHER", ("cnn",))
    monkeypatch.setattr(approaches, "steps_of", lambda *_: 5)
    out, work = tmp_path / "page.md", tmp_path / "work"
    arguments = ["reproduce", "traffic-class", "table3", "--data", f"quic:{folder}"]
    arguments += ["--labels", "10,all", "--seeds", "1", "--work", str(work)]
    for _ in range(2):
        command([*arguments, "--out", str(out)])
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(set(said)) == 4 + 2
    text = out.read_text()
    assert "6 of 6 trainings of this table are done, seeds 0" in text
    row = next(line for line in text.splitlines() if line.startswith("| 10 (2) |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[-4:] == ["48.67", "64.67", "85.33", "93.33"]
    assert len(cells) == 1 + 2 + 4
    assert float(cells[1]) > 50
    assert (tmp_path / "page-quic.png").read_bytes().startswith(b"\x89PNG")
    (numbers,) = json.loads(out.with_suffix(".json").read_text())
    assert numbers["features"] == SCHEMA.fingerprint()
    # The varied parts hold what Table III holds too: k = 60, λ = 1.
    assert {one["approach"] for one in numbers["trainings"]} == {"forest", "cnn"}
    assert f"{NOT_RUN}" in text
    assert NAMES["lmmoe"] in text


def test_help_loads_no_tensorflow():
    code = "import sys, trainer.cli.reproduce; print({'keras', 'sklearn'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "set()"


@pytest.mark.parametrize("counts", ["", "ten", "10,,20", "0", "-1"])
def test_numbers_of_labels_that_are_none(counts, tmp_path, capsys):
    arguments = ["reproduce", "traffic-class", "--data", f"quic:{tmp_path}"]
    with pytest.raises(SystemExit) as ended:
        command([*arguments, "--labels", counts])
    assert ended.value.code == 64
    assert "is no number of labels" in capsys.readouterr().err
