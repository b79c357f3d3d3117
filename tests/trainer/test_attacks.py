"""The door before the attacks."""

import dataclasses

import pytest

from sensor.errors import HostError
from trainer.lab import attacks
from trainer.lab.attack_kinds import ATTACKS
from trainer.lab.attack_report import AttackReport
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario


@pytest.mark.parametrize("index", range(3))
def test_nothing_is_sent_outside_the_lab(index: int) -> None:
    """This process lives in a namespace that the lab did not make."""
    plan = make_plan(read_scenario("demo"), 7, 30)
    attack = plan.attacks[index]
    report = AttackReport()
    with pytest.raises(HostError, match="only runs inside the lab's own network namespaces"):
        attacks.run_attack(plan, plan.hosts[1], attack, report)
    assert (report.packets, report.flows) == (0, 0)


@pytest.mark.parametrize(
    "change",
    [{"victim": "192.0.2.1"}, {"reflectors": ("192.0.2.1",)}, {"targets": ("192.0.2.1",)}],
)
def test_nothing_is_sent_to_others(
    change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attacks, "require_lab_namespace", lambda: None)
    plan = make_plan(read_scenario("demo"), 7, 30)
    attack = dataclasses.replace(plan.attacks[0], **change)  # type: ignore[arg-type]
    report = AttackReport()
    with pytest.raises(HostError, match=r"192\.0\.2\.1 is no host of the lab; nothing was sent"):
        attacks.run_attack(plan, plan.hosts[1], attack, report)
    assert report.packets == 0


def test_a_round_trip_passes_both_cables_twice() -> None:
    plan = make_plan(read_scenario("demo"), 7, 30)
    one, other = plan.hosts[1:3]
    expected = 2 * (one.delay_ms + one.jitter_ms + other.delay_ms + other.jitter_ms) / 1000
    assert attacks.round_trip_s(plan, one, other.address) == pytest.approx(expected)


def test_every_attack_of_the_catalogue_can_be_performed() -> None:
    assert set(attacks.PERFORMERS) == set(ATTACKS)
