"""Every module has its tests: `sensor/**/x.py` has `tests/sensor/test_x*.py`, likewise trainer."""

from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"

TESTED_ELSEWHERE: dict[str, str] = {
    "sensor/errors.py": "classes without code; every command's tests assert their exit status",
    "sensor/flows/sequences.py": "columns without rules; tests/sensor/test_table.py reads them all",
    "sensor/packets/headers.py": "columns without rules; tests/sensor/test_decode.py reads them",
    "sensor/capture/live.py": "a protocol without code; tests/sensor/test_tshark.py runs by it",
    "sensor/capture/parser.py": "a protocol without code; tests of pcap and pcapng read all of it",
    "sensor/capture/pcapng_packets.py": "tests/sensor/test_pcapng.py, through whole files",
    "sensor/capture/bpf.py": "tests/sensor/test_cutoff.py, by the kernel's verifier and traffic",
    "sensor/service/forwarding/destination.py": "a protocol; tests/sensor/test_courier.py has one",
    "sensor/capture/block.py": "columns without rules; every capture source's tests read them",
    "sensor/packets/slow_headers.py": "tests/sensor/test_slow.py, through the slow path",
    "sensor/commands.py": "tests/sensor/test_cli.py and tests/trainer/test_trainer_cli.py",
    "sensor/latency/measurements.py": "records without rules; tests/sensor/test_round_trips.py",
    "sensor/latency/peer_windows.py": "tests/sensor/test_latency_table.py, through the table",
    "sensor/latency/questions.py": "tests/sensor/test_round_trips.py, against a second reading",
    "sensor/lane.py": "tests/sensor/test_exchange.py and test_pipeline.py, through whole chains",
    "sensor/alerts/task_incidents.py": "tests/sensor/test_incidents.py, through the tracker",
    "sensor/service/session.py": "tests/sensor/test_lifecycle.py and test_reload.py, as a process",
    "sensor/service/telling.py": "tests/sensor/test_limit.py and test_run.py, through whole runs",
    "trainer/annotating/annotation_card.py": "tests/trainer/test_annotation_bundle.py",
    "trainer/latency/quiet.py": "tests/trainer/test_deploying.py",
    "trainer/annotating/teaching.py": "tests/trainer/test_annotation_bundle.py",
    "trainer/baselines/rule.py": "tests/trainer/test_baselines.py",
    "trainer/baselines/trees.py": "tests/trainer/test_baselines.py",
    "trainer/lab/service_accounts.py": "tests/trainer/test_service_sessions.py, through sessions",
    "trainer/decisions.py": "tests/trainer/test_trainer_cli.py, from recordings to a bundle",
    "trainer/incidents.py": "tests/trainer/test_incident_figures.py",
    "trainer/settings.py": "tests/trainer/test_recipe.py: the values that a recipe may give",
    "trainer/tasks.py": "tests/test_shipped_bundle.py and tests/trainer/test_evaluation.py",
    "trainer/bundling.py": "tests/trainer/test_trainer_cli.py, from recordings to a bundle",
    "trainer/card.py": "tests/trainer/test_trainer_cli.py, from recordings to a bundle",
    "trainer/cli/fitting.py": "tests/trainer/test_tune.py, through the command",
    "trainer/cli/evaluate.py": "tests/trainer/test_trainer_cli.py, from recordings to a bundle",
    "trainer/comparison.py": "tests/trainer/test_trainer_cli.py, from recordings to a bundle",
    "trainer/evasion/augmentation.py": "tests/trainer/test_measure.py",
    "trainer/evasion/forgery.py": "tests/trainer/test_measure.py",
    "trainer/evasion/page.py": "tests/trainer/test_measure.py",
    "trainer/paradigms/paradigm.py": "what tests of Aurora and Rainbow share, tried by both",
    "trainer/proof/acceptance_page.py": "tests/trainer/test_acceptance.py",
    "trainer/proof/aims.py": "tests/trainer/test_proof.py",
    "trainer/proof/experiments.py": "tests/trainer/test_proof.py",
    "trainer/proof/judgement.py": "tests/trainer/test_proof.py",
    "trainer/proof/material.py": "tests/trainer/test_proof.py",
    "trainer/proof/matrix.py": "tests/trainer/test_proof.py",
    "trainer/proof/page.py": "tests/trainer/test_proof.py",
    "trainer/proof/steps.py": "tests/trainer/test_proof.py",
    "trainer/proof/wirings.py": "tests/trainer/test_acceptance.py",
    "trainer/reproduce/courses.py": "tests/trainer/test_reproduce.py",
    "trainer/reproduce/fig4/claims.py": "tests/trainer/test_fig4.py",
    "trainer/reproduce/fig4/cost.py": "tests/trainer/test_fig4.py",
    "trainer/reproduce/fig4/instructions.py": "tests/trainer/test_fig4.py",
    "trainer/reproduce/fig4/memory.py": "tests/trainer/test_fig4.py",
    "trainer/reproduce/fig4/networks.py": "tests/trainer/test_fig4.py",
    "trainer/reproduce/fig4/sceptic.py": "tests/trainer/test_fig4.py",
    "trainer/reproduce/fig4/section.py": "tests/trainer/test_fig4.py",
    "trainer/reproduce/fig4/sizing.py": "tests/trainer/test_fig4.py",
    "trainer/reproduce/fig4/standing.py": "tests/trainer/test_fig4.py",
    "trainer/reproduce/fig4/step.py": "tests/trainer/test_fig4.py",
    "trainer/reproduce/fig4/unusual.py": "tests/trainer/test_fig4.py",
    "trainer/reproduce/fig4/variants.py": "tests/trainer/test_fig4.py",
    "trainer/reproduce/figures.py": "tests/trainer/test_reproduce.py",
    "trainer/reproduce/material.py": "tests/trainer/test_reproduce.py",
    "trainer/reproduce/page.py": "tests/trainer/test_reproduce.py",
    "trainer/reproduce/pictures.py": "tests/trainer/test_reproduce.py",
    "trainer/reproduce/results.py": "tests/trainer/test_reproduce.py",
    "trainer/reproduce/side_by_side.py": "tests/trainer/test_reproduce.py",
    "trainer/reproduce/training.py": "tests/trainer/test_reproduce.py",
    "trainer/latency/deployed_card.py": "tests/trainer/test_deploying.py",
    "trainer/latency/figures.py": "tests/trainer/test_latency_learning.py",
    "trainer/latency/labelling.py": "tests/trainer/test_latency_learning.py",
    "trainer/latency/lesson.py": "tests/trainer/test_latency_learning.py",
    "trainer/latency/offline.py": "tests/trainer/test_latency_learning.py",
    "trainer/latency/tasks.py": "tests/trainer/test_deploying.py",
    "trainer/latency/windows.py": "tests/trainer/test_latency_learning.py",
    "trainer/latency/snorkel_side.py": "tests/trainer/test_latency_reproduce.py",
    "trainer/latency/reproduce/approaches.py": "tests/trainer/test_latency_reproduce.py",
    "trainer/latency/reproduce/claims.py": "tests/trainer/test_latency_reproduce.py",
    "trainer/latency/reproduce/material.py": "tests/trainer/test_latency_reproduce.py",
    "trainer/latency/reproduce/method.py": "tests/trainer/test_latency_reproduce.py",
    "trainer/latency/reproduce/page.py": "tests/trainer/test_latency_reproduce.py",
    "trainer/latency/reproduce/pictures.py": "tests/trainer/test_latency_reproduce.py",
    "trainer/latency/reproduce/poster.py": "tests/trainer/test_latency_reproduce.py",
    "trainer/latency/reproduce/real.py": "tests/trainer/test_latency_reproduce.py",
    "trainer/latency/reproduce/results.py": "tests/trainer/test_latency_reproduce.py",
    "trainer/latency/reproduce/trial.py": "tests/trainer/test_latency_reproduce.py",
    "trainer/plots.py": "tests/trainer/test_trainer_cli.py, from recordings to a bundle",
    "trainer/runs.py": "tests/trainer/test_trainer_cli.py, from recordings to a bundle",
    "trainer/traffic/approaches.py": "tests/trainer/test_traffic_class.py",
    "trainer/traffic/claims.py": "tests/trainer/test_traffic_class.py",
    "trainer/traffic/cost.py": "a stopwatch; tests/trainer/test_conversion.py has the conversion",
    "trainer/traffic/material.py": "tests/trainer/test_readers.py",
    "trainer/traffic/method.py": "tests/trainer/test_traffic_class.py",
    "trainer/traffic/networks.py": "tests/trainer/test_traffic_class.py",
    "trainer/traffic/page.py": "tests/trainer/test_traffic_class.py",
    "trainer/traffic/pictures.py": "tests/trainer/test_traffic_class.py",
    "trainer/traffic/results.py": "tests/trainer/test_traffic_class.py",
    "trainer/traffic/schedule.py": "tests/trainer/test_traffic_class.py",
    "trainer/tuning/page.py": "tests/trainer/test_tune.py, through the command",
    "trainer/tuning/report.py": "tests/trainer/test_tune.py, through the command",
    "trainer/weighting/dynamic_average.py": "tests/trainer/test_weighting.py",
    "trainer/weighting/fixed.py": "tests/trainer/test_weighting.py",
    "trainer/weighting/homoscedastic.py": "tests/trainer/test_weighting.py",
    "trainer/weighting/interface.py": "tests/trainer/test_weighting.py",
}
"""Modules without a test file of their own, and why."""


def sources(package: str) -> list[str]:
    return [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / package).rglob("*.py"))
        if not path.name.startswith("__")
    ]


@pytest.mark.parametrize("package", ["sensor", "trainer"])
def test_every_module_has_a_test_file(package: str) -> None:
    untested = [
        source
        for source in sources(package)
        if source not in TESTED_ELSEWHERE
        and not list((TESTS / package).glob(f"test_{Path(source).stem}*.py"))
    ]
    assert not untested


def test_reasons_are_of_modules_that_exist_and_lack_a_file() -> None:
    for source in TESTED_ELSEWHERE:
        package = source.split("/")[0]
        assert (ROOT / source).is_file(), source
        assert not (TESTS / package / f"test_{Path(source).stem}.py").exists(), source


def test_names_of_test_files_are_unique() -> None:
    """Without packages, pytest can't tell two test files of one name apart."""
    counts = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert [name for name, count in counts.items() if count > 1] == []
