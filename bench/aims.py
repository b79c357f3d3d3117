"""What is aimed at, beside what was measured."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from bench.contenders import MIX, PEERS, SYN
from bench.measure import Results
from bench.summary import compare, figure

_BY_NAME = {peer.name: peer for peer in PEERS}


@dataclass(frozen=True)
class Aim:
    """One line of the table.

    Attributes:
        about: what is measured.
        aim: in words.
        measured: in words.
        met: whether it is.
    """

    about: str
    aim: str
    measured: str
    met: bool


def aims(results: Results) -> Iterator[Aim]:
    """All aims whose figures are there."""
    for capture, name, least in (
        (MIX, "nfstream", 18),
        (MIX, "softflowd", 1.2),
        (SYN, "nfstream", 150),
        (SYN, "softflowd", 6),
    ):
        if found := compare(results, _BY_NAME[name], capture):
            yield Aim(
                f"assembly, {capture}, beside {_BY_NAME[name].title}",
                f"≥ {least:g} ×",
                f"{found.times:.3g} × ({found.times_with_start:.3g} × with start-up)",
                found.times >= least,
            )
    if found := compare(results, _BY_NAME["tcpdump"], MIX):
        yield Aim(
            "assembly, mix, behind tcpdump, which only copies",
            "≤ 2.5 ×",
            f"{1 / found.times:.3g} × ({1 / found.times_with_start:.3g} × with start-up)",
            found.times >= 1 / 2.5,
        )
    for capture in (MIX, SYN):
        if taken := figure(results, "assembly", capture):
            held = taken.resident / 1e6
            yield Aim(f"assembly, {capture}, peak memory", "< 150 MB", f"{held:.0f} MB", held < 150)
    for capture, least in ((MIX, 1_000), ("syn-million", 800)):
        if taken := figure(results, "chain", capture):
            speed, whole = taken.speed / 1e3, taken.speed_with_start / 1e3
            yield Aim(
                f"whole chain, {capture}",
                f"≥ {least:,} kpps",
                f"{speed:,.0f} kpps ({whole:,.0f} with start-up)",
                speed >= least,
            )
    yield from _accounted(results)
    yield from _inference(results)


def _accounted(results: Results) -> Iterator[Aim]:
    if told := results.told("chain", MIX):
        rows = sum(count for name, count in told[0].items() if name.startswith("rows_"))
        yield Aim(
            "whole chain, mix: rows that were not scored",
            "0",
            f"{rows - told[0]['scored']:,.0f} of {rows:,.0f}",
            rows == told[0]["scored"],
        )
    if told := results.told("chain", "syn-million"):
        share = min(1, told[0]["scored"] / told[0]["flows"])
        yield Aim(
            "whole chain, syn-million: flows that were scored, or equalled one that was",
            "≥ 99 %",
            f"{share:.2%} of {told[0]['flows']:,.0f}; {told[0]['computed']:,.0f} computed",
            share >= 0.99,
        )


def _inference(results: Results) -> Iterator[Aim]:
    if told := results.told("inference", MIX):
        middle = {name: statistics.median(run[name] for run in told) for name in told[0]}
        yield Aim(
            "inference, 256 distinct flows at a time",
            "≥ 120,000 flows/s",
            f"{middle['batch_network']:,.0f}/s ({middle['batch_whole']:,.0f} with encoding and "
            "calibration)",
            middle["batch_network"] >= 120_000,
        )
        yield Aim(
            "inference, one flow",
            "≤ 40 µs",
            f"{middle['single_network']:,.0f} µs ({middle['single_whole']:,.0f} with encoding and "
            "calibration)",
            middle["single_network"] <= 40,
        )
