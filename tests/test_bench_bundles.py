"""What a second bundle costs: ratios and page by hand, and one command that is really measured."""

import os
from pathlib import Path

import click
import pytest

from bench.bundles import Run, Variant, once, page, ratio, variants
from bench.material import ONE, Capture

ROOT = Path(__file__).parent.parent
ONE_BUNDLE, TWO = Variant("a", ()), Variant("a, b", ())
MIX = Capture("mix", Path("mix.pcap"), 1_000, 10, 5_000)
RUNS = {
    ("a", "mix"): [Run(2.0, 100_000_000, ""), Run(4.0, 110_000_000, ""), Run(3.0, 1, "")],
    ("a, b", "mix"): [Run(3.0, 150_000_000, ""), Run(5.0, 1, ""), Run(3.9, 1, "")],
    ("a", ONE): [Run(0.5, 1, ""), Run(0.4, 1, ""), Run(0.6, 1, "")],
    ("a, b", ONE): [Run(0.8, 1, "")] * 3,
}


def test_a_ratio_is_the_middle_one_of_those_within_rounds():
    """3 / 2, 5 / 4 and 3.9 / 3; less start-up 2.2 / 1.5, 4.2 / 3.5 and 3.1 / 2.5."""
    assert ratio(RUNS, "a, b", "a", "mix", ONE) == pytest.approx((1.3, 1.24))


def test_the_page():
    text = page((ONE_BUNDLE, TWO), RUNS, MIX, {"a": "hop\nall\n"}, "here")
    assert "without start-up | ≤ 1.5 × | 1.24 × | met |" in text
    assert "with start-up | ≤ 1.5 × | 1.30 × | met |" in text
    assert "| a, b | 3.90 | 3.00 to 5.00 | 0.80 | 1.30 × | 1.24 × | 150 |" in text
    assert "```\nhop\nall\n```" in text
    slow = {**RUNS, ("a, b", "mix"): [Run(9.0, 1, "")] * 3}
    assert text.count("not met") == 0
    assert page((ONE_BUNDLE, TWO), slow, MIX, {}, "here").count("**not met**") == 2


def test_a_command_is_measured_and_its_failure_told():
    first, second = ROOT / "models/iot-gateway", ROOT / "models/traffic-class"
    one, both, logged = variants(first, second)
    assert both.title == "iot-gateway, traffic-class"
    assert logged.options[: len(both.options)] == both.options
    core = min(os.sched_getaffinity(0))
    run = once(one, ROOT / "tests/captures/demo.pcap", core, "--profile")
    assert run.cpu > 0
    assert run.resident > 30e6
    assert "inference" in run.told
    with pytest.raises(click.ClickException, match=r"iot-gateway: ended with 66: .*no\.pcap"):
        once(one, ROOT / "no.pcap", core)
