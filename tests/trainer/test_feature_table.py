"""The table of features: against the standard library's statistics of the same windows."""

import csv
import statistics
from itertools import pairwise
from math import nan
from pathlib import Path
from typing import Any

import pytest

from trainer.cli import main
from trainer.weak.features import FEATURES

TIMES = [20.0, 21.5, None, 19.0, 80.0, 20.5, 22.0, None, None, 18.0, 20.0, 25.0]


def run(*arguments: object) -> int:
    try:
        main(["latency", "features", *map(str, arguments)])
    except SystemExit as request:
        return int(request.code or 0)
    return 0


def table(path: Path, peers: int = 1) -> Path:
    lines = [
        f"{1_700_000_000 + k}.25,192.0.2.{peer},0,echo,{'' if rtt is None else rtt + peer}"
        for k, rtt in enumerate(TIMES)
        for peer in range(peers)
    ]
    path.write_text("time,peer,port,kind,rtt_ms\n" + "\n".join(lines) + "\n")
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("before", "after"), [(63, 0), (3, 0), (2, 2)])
def test_features_are_those_of_the_measurements_around(
    tmp_path: Path, before: int, after: int
) -> None:
    out = tmp_path / "features.csv"
    options = ("--before", before, "--after", after)
    assert run(table(tmp_path / "rtt.csv", peers=2), "--out", out, *options) == 0
    lines = read(out)
    assert [*lines[0]] == ["series", "time", "rtt_ms", "noise", "outage", "swell", *FEATURES]
    assert len({line["series"] for line in lines}) == 2
    for peer in range(2):
        mine = lines[peer * len(TIMES) : (peer + 1) * len(TIMES)]
        times = [None if rtt is None else rtt + peer for rtt in TIMES]
        for place, line in enumerate(mine):
            assert line["time"] == f"{1_700_000_000 + place}.250000000"
            assert line["rtt_ms"] == ("" if times[place] is None else f"{times[place]:g}")
            assert line["noise"] == line["outage"] == line["swell"] == ""
            window = times[max(0, place - before) : place + after + 1]
            told = {name: float(line[name]) if line[name] else nan for name in FEATURES}
            assert told == pytest.approx(expected(window), rel=1e-8, abs=1e-8, nan_ok=True)


def expected(window: list[float | None]) -> dict[str, float]:
    """Every feature by the standard library; NaN where there is none."""
    there = [(place, rtt) for place, rtt in enumerate(window) if rtt is not None]
    values = [rtt for _, rtt in there]
    pairs = [
        (one, other) for one, other in pairwise(window) if one is not None and other is not None
    ]
    n, mean = len(values), statistics.fmean(values)
    deviation, middle = statistics.pstdev(values), statistics.median(values)
    few = n < 3 or not deviation
    third = sum((rtt - mean) ** 3 for rtt in values)
    found: dict[str, float] = {
        "mean": mean,
        "standard_deviation": deviation,
        "median": middle,
        "minimum": min(values),
        "maximum": max(values),
        "quantile__q_0.1": quantile(values, 0.1),
        "quantile__q_0.9": quantile(values, 0.9),
        "variation_coefficient": deviation / mean,
        "skewness": nan if few else n / (n - 1) / (n - 2) * third / statistics.stdev(values) ** 3,
        "mean_abs_change": statistics.fmean(abs(b - a) for a, b in pairs) if pairs else nan,
        "ratio_beyond_r_sigma__r_2": sum(abs(v - mean) > 2 * deviation for v in values) / n,
        'linear_trend__attr_"slope"': (
            statistics.linear_regression(*zip(*there, strict=True)).slope if n > 1 else nan
        ),
        "autocorrelation__lag_1": nan,
        "median_absolute_deviation": statistics.median(abs(v - middle) for v in values),
        "share_unanswered": 1 - n / len(window),
    }
    if pairs and deviation:
        products = [(a - mean) * (b - mean) for a, b in pairs]
        found["autocorrelation__lag_1"] = statistics.fmean(products) / deviation**2
    return found


def quantile(values: list[float], share: float) -> float:
    """Between two values, interpolated."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def test_truth_is_told_and_single_features_can_be_had(tmp_path: Path, capfd: Any) -> None:
    series, out = tmp_path / "series.npz", tmp_path / "mean.csv"
    main(["latency", "generate", "--out", str(series), "--measurements", "20000"])
    assert run(series, "--out", out, "--feature", "mean", "--feature", "median") == 0
    assert "mean.csv: 20,000 measurements, 2 features" in capfd.readouterr().err
    lines = read(out)
    assert [*lines[0]][-3:] == ["swell", "mean", "median"]
    for task in ("noise", "outage", "swell"):
        assert {line[task] for line in lines} == {"0", "1"}
    lost = [line for line in lines if line["outage"] == "1"]
    assert {line["rtt_ms"] for line in lost} == {""}


def test_what_is_wrong_is_one_line_and_nothing_is_replaced(tmp_path: Path, capfd: Any) -> None:
    given = table(tmp_path / "rtt.csv")
    assert run(given, "--out", given) == 64
    out = tmp_path / "features.csv"
    out.write_text("kept")
    assert run(given, "--out", out, "--feature", "mode") == 64
    assert run(tmp_path / "none.csv", "--out", out) == 66
    assert run(given, "--out", tmp_path / "none" / "x.csv") == 74
    assert out.read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert "Traceback" not in capfd.readouterr().err
