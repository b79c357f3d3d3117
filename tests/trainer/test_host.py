"""The process of a host; recordings show the rest of it."""

import threading
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


def test_a_thread_that_ends_by_accident_spoils_the_recording(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = make_plan(read_scenario("sparse"), 1, 10)
    process = host.HostProcess(plan, plan.hosts[1])
    monkeypatch.setattr(threading, "excepthook", process._thread_failed)
    thread = threading.Thread(target=int, args=("no number",))
    thread.start()
    thread.join()
    (told,) = process._report()["failures"]
    assert told.startswith(f"lab host {plan.hosts[1].name}: ValueError: invalid literal")
