"""The process of a host; recordings show the rest of it."""

from multiprocessing import Pipe
from pathlib import Path

import pytest

from sensor.errors import HostError
from trainer.lab import host
from trainer.lab.catalogue import ACTIVITIES
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario


def test_every_activity_has_its_function() -> None:
    assert set(host.ROUNDS) == set(ACTIVITIES)


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (HostError("no namespaces here"), "no namespaces here"),
        (PermissionError(1, "Operation not permitted"), "lab host laptop-0: "),
    ],
)
def test_what_goes_wrong_is_answered(
    failure: Exception, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail() -> None:
        raise failure

    monkeypatch.setattr(host, "enter_new_network", fail)
    plan = make_plan(read_scenario("demo"), 1, 30)
    laptop = next(each for each in plan.hosts if each.name == "laptop-0")
    ours, theirs = Pipe()
    host.HostProcess(plan, laptop).serve(theirs, tmp_path, {})
    kind, message = ours.recv()
    assert kind == "error"
    assert told in message
