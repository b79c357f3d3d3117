"""What was found out about a capture, and the page that tells of all of them."""

import platform
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import dpkt
from agreement import SIZES
from reference import KEYS

TSHARK = "tshark"
REASONS = {
    "later fragment": "rule 24 joins a later fragment to the flow of its first one (or gives it "
    "ports 0 where there is none); tshark, with reassembly off, counts it for no ports",
    "cut options": "rule 25 needs no captured TCP options; tshark gives up on the segment where "
    "the capture ends inside them, and does not count it",
    "gre": "rule 23 means the outer flow, tshark the inner one too",
    "vxlan": "rule 23 means the outer flow, tshark the inner one too",
    "gtp": "rule 23 means the outer flow, tshark the inner one too",
    "capwap.data": "rule 23 means the outer flow, tshark the inner one too",
    "cfp": "Cisco FabricPath is an ethertype that rule 20 does not strip",
    "chdlc:mpls": "rule 19 looks for no MPLS behind Cisco HDLC",
    "ppi": "link type 192 is none of rule 19's",
}
"""Why tshark counts a packet that the rules do not, or the other way round."""


@dataclass
class Result:
    """One capture at one block size, or beside tshark.

    Attributes:
        archive, name, run: which capture, and the block size or ``tshark``.
        packets: frames in the file.
        decoded, refused: by the reference.
        rows: of the reference, by key.
        differing: lines that tell what the two differ on, the first ones.
        different: how many such lines there are.
        refusal: why the sensor does not take the file at all, if so.
        pairs: (of the reference, of tshark).
        explained: packets that only one of these two counts, by reason.
    """

    archive: str
    name: str
    run: str
    packets: int = 0
    decoded: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    differing: list[str] = field(default_factory=list)
    different: int = 0
    refusal: str = ""
    pairs: tuple[int, int] = (0, 0)
    explained: dict[str, int] = field(default_factory=dict)


def page(results: Sequence[Result], captures: dict[str, int], root: Path) -> str:
    """The page; `captures` says how many there are in each archive, run or not."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    version = (
        subprocess.run([TSHARK, "--version"], capture_output=True, text=True, check=False)
        .stdout.split("\n")[0]
        .rstrip(".")
    )
    today = datetime.now(timezone.utc).date()
    return "\n".join(
        [
            "# The sensor against an independent reference",
            "",
            (
                f"{today}, commit {commit or 'unknown'}, Python {platform.python_version()}, "
                f"dpkt {dpkt.__version__}, {version}; `make verify TARGET=reference`."
            ),
            "",
            *_rows(results, captures),
            "",
            *_must_differ(results),
            "",
            *_tshark(results, captures),
            "",
        ]
    )


def _rows(results: Sequence[Result], captures: dict[str, int]) -> list[str]:
    lines = [
        "## Rows",
        "",
        (
            "Every column of every row, in order, and the counts of decoded, refused, offloaded, "
            "slow and unmatched frames: the sensor's whole chain, cut into blocks of 1, 7, 500 and "
            "16,384 packets, beside an assembler that takes one packet at a time "
            "(`tests/reference*.py`). Rows are taken where incidents are made of them."
        ),
        "",
        f"| archive | captures | packets | decoded | {' | '.join(f'rows, {k}' for k in KEYS)} | "
        + " | ".join(f"differing, blocks of {size:,}" for size in SIZES)
        + " |",
        "|---" * (4 + len(KEYS) + len(SIZES)) + "|",
    ]
    for archive, count in captures.items():
        mine = [r for r in results if r.archive == archive and r.run != TSHARK]
        whole = {r.name: r for r in mine}.values()
        cells = [archive, f"{count}", f"{sum(r.packets for r in whole):,}"]
        cells += [f"{sum(r.decoded for r in whole):,}"]
        cells += [f"{sum(r.rows.get(key, 0) for r in whole):,}" for key in KEYS]
        for size in SIZES:
            run = [r for r in mine if r.run == str(size)]
            cell = f"{sum(r.different for r in run):,}"
            cells.append(cell if len(run) == count else f"{cell} ({len(run)} of {count} run)")
        lines.append(f"| {' | '.join(cells)} |")
    refused: Counter[str] = Counter()
    for result in {(r.archive, r.name): r for r in results if r.run != TSHARK}.values():
        refused.update(result.refused)
    counts = ", ".join(f"{count:,} {reason}" for reason, count in refused.most_common())
    return [*lines, "", f"Refused: {counts}."]


def _must_differ(results: Sequence[Result]) -> list[str]:
    taken = {(r.archive, r.name): r.refusal for r in results if r.refusal}
    lines = ["## What must differ", ""]
    lines += [
        f"- `{archive}/{name}`: the sensor does not take the file ({refusal})."
        for (archive, name), refusal in sorted(taken.items())
    ]
    wrong = [r for r in results if r.different]
    lines += [
        f"- **Unexplained**: `{r.archive}/{r.name}`, {r.run}: {r.differing[0]}" for r in wrong
    ]
    return lines if taken or wrong else [*lines, "Nothing."]


def _tshark(results: Sequence[Result], captures: dict[str, int]) -> list[str]:
    mine = [r for r in results if r.run == TSHARK]
    lines = [
        "## tshark",
        "",
        (
            "Frames, and packets of each pair of TCP or UDP endpoints, with reassembly of "
            "fragments off. Its conversations are not cut by silence, so pairs are compared, not "
            "flows."
        ),
        "",
        "| archive | captures | frames | pairs | pairs, tshark | packets with a reason | without |",
        "|---|---|---|---|---|---|---|",
    ]
    for archive, count in captures.items():
        run = [r for r in mine if r.archive == archive]
        cells = [archive, f"{len(run)} of {count}", f"{sum(r.packets for r in run):,}"]
        cells += [f"{sum(r.pairs[side] for r in run):,}" for side in (0, 1)]
        cells += [f"{sum(sum(r.explained.values()) for r in run):,}"]
        lines.append(f"| {' | '.join(cells)} | {sum(r.different for r in run)} |")
    met = {word for r in mine for reason in r.explained for word in _words(reason)}
    lines += ["", *(f"- *{reason}*: {REASONS.get(reason, '?')}." for reason in sorted(met))]
    lines += ["", "| capture | pairs | pairs, tshark | packets, by reason |", "|---|---|---|---|"]
    for r in sorted(mine, key=lambda r: (r.archive, r.name)):
        if r.explained or r.different:
            why = [f"{count:,} {reason}" for reason, count in sorted(r.explained.items())]
            why += r.differing
            lines.append(
                f"| {r.archive}/{r.name} | {r.pairs[0]} | {r.pairs[1]} | {'; '.join(why)} |"
            )
    return lines


def _words(reason: str) -> list[str]:
    return reason.removeprefix("in ").split(" or ") if reason.startswith("in ") else [reason]
