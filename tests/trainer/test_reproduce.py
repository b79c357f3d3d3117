"""MULTA's evaluation made again: sets of single tasks, courses, what is kept, and the page."""

import json
import os
from contextlib import contextmanager
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from toy_set import Here, toy_set

from sensor.errors import LabelError
from trainer.cli import main
from trainer.datasets.examples import Patterns
from trainer.executors import Workers
from trainer.lab.recording_set import read_set
from trainer.reproduce import results
from trainer.reproduce.courses import (
    FIG5,
    METADATA,
    SEEDS,
    SETTINGS,
    TABLE1,
    TABLE2,
    TASKS,
    Course,
    Phase,
)
from trainer.reproduce.figures import Difference, curve, explanation
from trainer.reproduce.material import IN_SOURCE, LEARNT, LEFT_OUT, MOST, RECORDINGS, draw, gather
from trainer.reproduce.results import Result
from trainer.reproduce.training import Followed, follow, measured

EVERY = [(name, seed) for name in (*TABLE2, *TABLE1, *FIG5) for seed in SEEDS]
IN_TURN = [(name, seed) for seed in SEEDS for name in (*TABLE2, *TABLE1, *FIG5)]


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """Recordings of a list, the validation part's not among them, and a dataset of them."""
    return toy_set(tmp_path_factory.mktemp("toys"))


@pytest.fixture(scope="module")
def dataset(toys):
    wanted = read_set(str(toys / "toys.toml"))
    return gather(wanted, toys / "recordings", toys / "work", Here())


@pytest.fixture(scope="module")
def material(dataset, toys):
    return draw(dataset, read_set(str(toys / "toys.toml")).parts())


def flow_labels(material, rows, task):
    """Attack flows of a task, counted by hand: label files cover every flow of the toys."""
    column = material.dataset.tasks.index(task)
    attack = rows & (material.dataset.labels[:, column] == 1)
    return set(material.dataset.flow[attack].tolist())


def test_the_recordings_of_the_page_are_in_the_published_set():
    own, published = read_set(str(RECORDINGS)), read_set("homes")
    assert set(own.entries) <= set(published.entries)
    assert {entry.part for entry in own.entries} == {"train", "test"}


def test_training_flows_come_before_the_tested_ones_of_their_recording(material, dataset):
    start = material.dataset.batch.flow_start_ns
    for source in (0, 1):
        of = material.dataset.source == source
        for task in TASKS:
            attack = of & (material.dataset.labels[:, material.dataset.tasks.index(task)] == 1)
            learnt, tested = (attack & material.parts[part] for part in (LEARNT, IN_SOURCE))
            assert start[learnt].max() < start[tested].min()
        assert not (of & material.parts[LEFT_OUT]).any()
    assert (material.parts[LEFT_OUT] == (material.dataset.source == 2)).all()
    assert len(material.dataset) < len(dataset)


def test_no_kind_of_flow_is_drawn_more_often_than_said_and_flows_are_whole(material, dataset):
    # A toy has 600 flows of each flood: 330 begin in its first 55 %, 180 in its last 30 %.
    counts = {part: MOST[part] * (2 if part != LEFT_OUT else 1) for part in MOST}
    for part, rows in material.parts.items():
        assert len(flow_labels(material, rows, "syn_dos")) == counts[part]
    # Of the 10 flows of renegotiation, places 0 to 5 of 10 are below 55 %: six.
    assert len(flow_labels(material, material.parts[LEARNT], "ssl_renegotiation")) == 12
    for flow in sorted(flow_labels(material, material.parts[LEARNT], "ssl_renegotiation")):
        assert (material.dataset.flow == flow).sum() == (dataset.flow == flow).sum() > 1


def test_every_attack_is_in_its_own_set_or_half_of_it_is_elsewhere(material):
    learnt = material.parts[LEARNT]
    for layout, of in material.sets.items():
        assert ((of == -1) == ~learnt).all()
        for column, task in enumerate(TASKS):
            flows = flow_labels(material, learnt, task)
            shares = [
                len(flow_labels(material, of == each, task)) / len(flows)
                for each in range(len(TASKS))
            ]
            elsewhere = 0.0 if layout == "own" else 0.25
            expected = [elsewhere] * len(TASKS)
            expected[column] = 1 - 2 * elsewhere
            assert shares == pytest.approx(expected)
    # Of two recordings, the first is the first task's, the second the second's.
    labels = material.dataset.labels[:, [material.dataset.tasks.index(name) for name in TASKS]]
    calm = learnt & (labels != 1).all(axis=1)
    assert (material.sets["own"][calm] == material.dataset.source[calm]).all()
    assert (material.sets["others"][calm] == material.dataset.source[calm]).all()


def test_labels_of_other_tasks_are_true_or_negative_or_none(material):
    truth, of = material.truth, material.sets["others"]
    correct, filled, masked = (
        material.labels("others", known) for known in ("correct", "filled", "masked")
    )
    assert (correct == truth).all()
    for column, _ in enumerate(TASKS):
        own = of == column
        for labels in (filled, masked):
            assert (labels[own, column] == truth[own, column]).all()
        assert (masked[~own, column] == -1).all()
        looked_at = truth[~own, column] >= 0
        assert (filled[~own, column] == np.where(looked_at, 0, -1)).all()
        # Half of the attack's training flows are called negative.
        flows = flow_labels(material, material.parts[LEARNT], TASKS[column])
        known = set(material.dataset.flow[(filled[:, column] == 1) & own].tolist())
        assert len(known) == len(flows) / 2


def test_a_protected_phase_learns_some_of_the_sets_before_it(material):
    of = material.sets["own"]
    unprotected, protected = FIG5.values()
    for number, task in enumerate(TASKS):
        rows = material.learnt(unprotected, number)
        assert (rows == (of == TASKS.index(task))).all()
        rehearsed = material.learnt(protected, number)
        assert rehearsed[rows].all()
        for before in range(number):
            attacks = flow_labels(material, of == before, TASKS[before])
            again = flow_labels(material, rehearsed, TASKS[before])
            # Of each of the two recordings 5 %, rounded up: of 40 two, of six one.
            assert again <= attacks
            assert len(again) == 2 * -(-len(attacks) // 2 * 5 // 100)
        if number < len(TASKS) - 1:
            assert not (rehearsed & (of > number)).any()
    for course in FIG5.values():
        assert (material.learnt(course, len(TASKS)) == (of == 0)).all()


def test_areas_are_those_of_the_flows(material):
    patterns = Patterns.of(material.dataset)
    scores = np.random.default_rng(5).random((len(patterns.encoded), len(TASKS)), np.float32)
    areas = measured(material, patterns, scores)
    batch = material.dataset.batch
    for part in (IN_SOURCE, LEFT_OUT):
        for column, task in enumerate(TASKS):
            of_flow: dict[int, list[tuple[int, float, int]]] = {}
            for row in np.flatnonzero(material.parts[part] & (material.truth[:, column] >= 0)):
                score = float(scores[patterns.number[row], column])
                entry = (int(batch.row[row]), score, int(material.truth[row, column]))
                of_flow.setdefault(int(material.dataset.flow[row]), []).append(entry)
            repeat = task == "ssl_renegotiation"
            decided = [max(e[1] for e in f) if repeat else max(f)[1] for f in of_flow.values()]
            expected = roc_auc_score([f[0][2] for f in of_flow.values()], decided)
            assert areas[part][column] == pytest.approx(expected)


def test_a_course_is_followed_through_all_its_phases(material):
    phases = (Phase(1, "own", "masked", TASKS[0]), Phase(2, "others", "filled"))
    course = Course("tiny", "tiny", phases, "aurora", (1, 3))
    settings = replace(SETTINGS, experts=1, units=2, tower_units=(3,), settle_after=1)
    followed = follow(material, course, settings, 0)
    assert list(followed.areas) == [1, 3]
    assert followed.areas[1] != followed.areas[3]
    schema = material.dataset.schema
    inputs, context = len(schema.channels), len(schema.context)
    # An LSTM without bias; of each task a hidden layer of three and an output. One expert, no gate.
    assert followed.parameters == 4 * 2 * (inputs + 2) + 3 * ((2 + context) * 3 + 3 + 3 + 1)
    assert 0 < followed.examples[0] < followed.examples[1]


def test_what_is_taken_away_is_seen_by_nobody_and_all_else_by_everybody(material):
    columns = {name: [] for name in METADATA}
    channels = material.dataset.schema.channels
    whole, context = Patterns.of(material.dataset), len(material.dataset.schema.context)
    for name in METADATA:
        patterns = Patterns.of(material.without(name).dataset)
        for rows in (0, len(material.dataset) // 2, -1):
            one, other = (
                [each[0] for each in of.encoded.expand(np.array([of.number[rows]]))]
                for of in (whole, patterns)
            )
            apart = np.flatnonzero((one[0] != other[0]).any(axis=0))
            columns[name] += [channels[channel] for channel in apart]
            columns[name] += ["context"] * bool((one[1] != other[1]).any())
            if name == "context":
                assert (other[1] == np.zeros(context)).all()
            assert not other[0][:, apart].any()
    flags = {"fin", "syn", "rst", "psh", "ack", "tcp", "udp", "icmp"}
    assert {name: set(each) - flags for name, each in columns.items()} == {
        "size": {"ip_length", "payload_length"},
        "interval": {"interarrival"},
        "direction": {"direction"},
        "headers": set(),
        "context": {"context"},
    }
    assert set(columns["headers"]) & flags
    assert material.without("") is material
    assert "without" not in TABLE2["table2-own-filled"].document()


def test_recordings_without_an_attack_are_refused(dataset, toys):
    parts = read_set(str(toys / "toys.toml")).parts()
    column = dataset.tasks.index("syn_dos")
    labels = dataset.labels.copy()
    labels[dataset.source == 2, column] = 0
    with pytest.raises(LabelError, match="left-out have no attack flow of syn_dos"):
        draw(replace(dataset, labels=labels), parts)


@pytest.mark.parametrize(
    ("right", "wrong", "begins"),
    [
        (([0.97, 0.98], [0.97, 0.98]), ([0.90, 0.91], [0.97, 0.98]), "holds: "),
        (([0.95, 0.96], [0.97, 0.98]), ([0.90, 0.91], [0.97, 0.98]), "holds in part"),
        (([0.90, 0.91], [0.97, 0.98]), ([0.95, 0.96], [0.97, 0.98]), "does not hold: Aurora"),
        (([0.97, 0.98], [0.97, 0.98]), ([0.96, 0.98], [0.97, 0.98]), "does not hold: wrong"),
        (([0.97, 0.98], [0.97, 0.98]), ([0.90], [0.97, 0.98]), "open"),
    ],
)
def test_the_paper_s_explanation_is_held_against_the_areas(right, wrong, begins):
    assert explanation(Difference.of(*right), Difference.of(*wrong)).startswith(begins)


def test_curves_average_the_tasks_of_each_seed():
    def followed(first):
        areas = {IN_SOURCE: [1.0, 1.0, 1.0], LEFT_OUT: [first, 0.9, 0.8]}
        return Followed({2: areas}, 1, (1,), 1.0)

    found = [Result("a", seed, "", followed(first)) for seed, first in enumerate((0.7, 1.0))]
    found.append(Result("b", 0, "", followed(0.0)))
    assert curve(found, "a", LEFT_OUT) == {2: pytest.approx([0.8, 0.9])}
    assert curve(found, "a", LEFT_OUT, TASKS[0]) == {2: [0.7, 1.0]}


@pytest.fixture
def trained(monkeypatch):
    """Courses that were followed; the fourth of the first call is interrupted."""
    asked: list[tuple[str, int]] = []

    def known(_, course, settings, seed):
        assert settings == SETTINGS
        asked.append((course.name, seed))
        if len(asked) == 4:
            raise KeyboardInterrupt
        rainbow = course.paradigm == "rainbow"
        area = 0.95 + seed / 1000 + rainbow / 100
        areas = {IN_SOURCE: [0.99] * 3, LEFT_OUT: [area] * 3}
        return Followed(dict.fromkeys(course.measured, areas), 4_321, (10,), 1.0)

    @contextmanager
    def workers(*_):
        yield Workers(Here(), 1)

    monkeypatch.setattr(results, "follow", known)
    monkeypatch.setattr("trainer.cli.reproduce.executor", workers)
    return asked


def test_a_reproduction_that_was_killed_goes_on_where_it_stopped(toys, dataset, trained, tmp_path):
    assert len(dataset.sources) == 3

    def run(*steps):
        steps = steps or ("table2", "table1", "fig5")
        out = ["--work", toys / "work", "--out", tmp_path / "page.md"]
        given = ["--recordings", toys / "recordings", "--set", toys / "toys.toml", *out]
        try:
            main([str(each) for each in ["reproduce", "multa", *given, *steps]])
        except SystemExit as leaving:
            return leaving.code or 0
        return 0

    assert run() == 130
    assert trained == IN_TURN[:4]
    page = (tmp_path / "page.md").read_text()
    assert "3 of 42 of these networks are here" in page
    assert "| paper (Kitsune): Aurora |" in page
    assert "not run yet" in page

    trained[:] = [("", 0)] * 4  # no more interruptions
    (damaged,) = (toys / "work/courses").glob(f"{IN_TURN[0][0]}-0-*.json")
    damaged.write_text("{")
    assert run() == 0
    assert trained[4:] == [IN_TURN[0], *IN_TURN[3:]]
    page = (tmp_path / "page.md").read_text()
    assert "42 of 42 of these networks are here" in page
    row = next(line for line in page.splitlines() if line.startswith("| 6 |"))
    ours, rainbow = "0.9510 [0.9500, 0.9520]", "0.9610 [0.9600, 0.9620]"
    cells = ["0.9633", "0.9763", ours, ours, rainbow, ours, ours, ours, rainbow]
    assert row == f"| 6 | {' | '.join(cells)} |"
    assert "does not hold: Aurora is behind either way, and no further" in page
    for name in ("page-table2.png", "page-fig5.png"):
        assert f"]({name})" in page
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    numbers = json.loads((tmp_path / "page.json").read_text())
    assert [(each["course"], each["seed"]) for each in numbers["results"]] == EVERY
    assert numbers["results"][0]["areas"]["2"]["left-out"] == [0.95, 0.95, 0.95]

    assert run("fig5") == 0
    assert len(trained) == 4 + 40
