"""An attack's account of itself."""

import threading
from dataclasses import asdict

from trainer.lab.attack_report import AttackReport


def test_counts_from_several_threads_add_up() -> None:
    report = AttackReport()

    def work() -> None:
        report.connected(1)
        for _ in range(1000):
            report.sent()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (report.packets, report.flows, len(report.connections)) == (4000, 4, 4)
    assert 0 < report.first <= report.last


def test_an_attack_that_never_ran_has_no_times() -> None:
    report = asdict(AttackReport())
    counts = {"first": 0.0, "last": 0.0, "packets": 0, "flows": 0}
    assert report == counts | {"connections": [], "said": ""}
