"""A slice of `make verify TARGET=weak-flows`: what labels by functions are worth, and claims."""

from dataclasses import replace

import click.testing
import numpy as np
import pytest
import weak_flows_proof as proof
from command import ROOT

from trainer.cli import commands
from trainer.datasets.dataset import load
from trainer.evaluation import TaskFigures
from trainer.incidents import IncidentFigures
from trainer.weak.loading import load as load_functions
from trainer.weak.supervision import supervise

CAPTURES = ROOT / "tests/captures"


@pytest.fixture(scope="module")
def voted(tmp_path_factory):
    """The labelled captures that are here, with votes on them."""
    folder = tmp_path_factory.mktemp("flows")
    given = [
        f"{CAPTURES / name}.pcap={CAPTURES / name}.labels.csv"
        for name in ("demo", "full-length", "seven-tasks")
    ]
    tasks = [word for task in proof.TASKS for word in ("--task", task)]
    arguments = ["extract", *given, "--jobs", "1", "--out", str(folder / "ds"), *tasks]
    assert click.testing.CliRunner().invoke(commands, arguments).exit_code == 0
    dataset = load([folder / "ds"])
    functions = [each for each in load_functions("flows") if each.task.name in proof.TASKS]
    return folder, dataset, supervise(functions, proof.tables(dataset))


def test_functions_find_attacks_of_which_they_know_nothing(voted):
    folder, dataset, every = voted
    weak = proof.labelled(folder / "weak", dataset, every)
    assert [record.name for record in weak.sources] == [each.name for each in dataset.sources]
    lines = [line.split(" | ") for line in proof.quality(weak, dataset, every)]
    assert [line[0] for line in lines] == [f"| {task}" for task in proof.TASKS]
    attacks = {"syn_dos": "3,244", "ssdp_flood": "688", "scan": "60"}
    for (_, _, counts, found, right, _), wanted in zip(lines, attacks.values(), strict=True):
        assert counts.startswith(f"{wanted} of ")
        assert float(found) > 0.97
        assert float(right) > 0.98


def test_sources_without_rows_are_left_out(voted, tmp_path):
    """As those that are tested are, when the others are labelled."""
    _, dataset, every = voted
    rest = dataset.of_sources(["seven-tasks", "demo"])
    every = supervise([each for votes in every for each in votes.functions], proof.tables(rest))
    weak = proof.labelled(tmp_path / "weak", rest, every)
    assert [record.name for record in weak.sources] == ["demo", "seven-tasks"]
    np.testing.assert_array_equal(weak.batch.ip_length, rest.batch.ip_length)
    assert (weak.labels[:, 0] == 1).sum() > 1_000


def of_task(task, area=0.99, recall=0.9, found=4, false=0):
    incidents = IncidentFigures(4, found, false, 0.0, 0, 0, (), (), ())
    return TaskFigures(task, 9, 5, 9, 5, area, area, area, area, 0.5, recall, recall, 0, incidents)


def test_claims_hold_for_the_medians_of_areas_and_for_every_seed_of_incidents():
    truth = [[of_task(task) for task in proof.TASKS] for _ in range(3)]

    def holds(*votes):
        found = proof.claims({proof.TRUTH: truth, proof.VOTES: votes})
        return [holds for _, _, holds in found]

    assert holds(*truth) == [True] * 5
    one_bad_seed = [[replace(each, roc_auc=0.5, recall=0.1) for each in truth[0]], *truth[1:]]
    assert holds(*one_bad_seed) == [True] * 5
    worse = [[seed[0], of_task("ssdp_flood", 0.985, 0.86), seed[2]] for seed in truth]
    assert holds(*worse) == [False, True, False, True, True]
    missed = [*truth[:2], [*truth[2][:2], of_task("scan", found=3, false=1)]]
    assert holds(*missed) == [True, True, True, False, False]
