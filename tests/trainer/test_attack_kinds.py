"""The catalogue of attacks."""

from trainer.lab.attack_kinds import ATTACKS
from trainer.tasks import KNOWN


def test_every_attack_is_a_task_that_label_files_may_name() -> None:
    assert set(ATTACKS) <= set(KNOWN)


def test_rates_reach_from_a_trickle_to_thousands() -> None:
    for task, kind in ATTACKS.items():
        rate = kind.options["rate"]
        assert rate.low <= 1, task
        assert not kind.flood or rate.high >= 1000, task


def test_the_kitsune_threats_come_first() -> None:
    """Old label files cover these three, and their plans are drawn in this order."""
    assert list(ATTACKS)[:3] == ["syn_dos", "ssdp_flood", "ssl_renegotiation"]
