"""The deterministic flag: TensorFlow is told, and trainings are equal byte by byte."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from tensorflow.python.framework import config
from toy_set import Here, toy_set

from trainer.executors import in_own_process
from trainer.lab.recording_set import read_set
from trainer.reproduce.courses import TABLE2, TASKS
from trainer.reproduce.determinism import VARIABLE, determined, make_deterministic
from trainer.reproduce.fig4.networks import Networks, train
from trainer.reproduce.fig4.variants import Network
from trainer.reproduce.material import draw, gather
from trainer.reproduce.results import Results


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    toys = toy_set(tmp_path_factory.mktemp("toys"))
    wanted = read_set(str(toys / "toys.toml"))
    return draw(gather(wanted, toys / "recordings", toys / "work", Here()), wanted.parts())


@pytest.fixture
def deterministic(monkeypatch):
    monkeypatch.setenv(VARIABLE, "0")  # put back afterwards
    make_deterministic()


@pytest.mark.usefixtures("deterministic")
def test_a_worker_s_tensorflow_is_told():
    assert in_own_process(config.is_op_determinism_enabled)


def test_it_is_not_told_unless_it_is_asked_for(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not in_own_process(config.is_op_determinism_enabled)


@pytest.mark.usefixtures("deterministic")
def test_two_trainings_are_equal_byte_by_byte(monkeypatch, material):
    """With as many threads as there are processors, in two fresh processes."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.setenv(name, str(os.cpu_count() or 1))
    once, again = (in_own_process(train, material, Network(TASKS, 2, 3), 4, 0) for _ in range(2))
    assert once[1] == again[1]
    assert once[0].areas == again[0].areas


def test_what_is_kept_says_whether_it_is_deterministic(
    deterministic, monkeypatch, material, tmp_path
):
    assert deterministic is None
    course, network = TABLE2["table2-own-filled"], Network(TASKS, 2, 3)
    told = [
        Results(material, tmp_path)._place(course, 0),
        Networks(material, tmp_path)._place(network, 0),
    ]
    assert all(key["deterministic"] for key, _ in told)
    monkeypatch.delenv(VARIABLE)
    assert determined() == {}
    untold = [
        Results(material, tmp_path)._place(course, 0),
        Networks(material, tmp_path)._place(network, 0),
    ]
    assert not any("deterministic" in key for key, _ in untold)
    assert all(one[1] != other[1] for one, other in zip(told, untold, strict=True))
