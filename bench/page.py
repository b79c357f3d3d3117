"""The page: aims, tables, counts, commands; and the plot beside it."""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.aims import aims
from bench.contenders import FORMS, MIX, OURS, PEERS, SYN, Contender
from bench.material import ONE
from bench.measure import Results, capture_of
from bench.plot import plot
from bench.summary import Figure, compare, figure, three_digits

ABOUT = {
    MIX: "The mix: a gateway's two minutes",
    SYN: "The SYN flood: every packet a flow",
}

SPEED_HEADER = (
    "kpps",
    "spread",
    "ours ×",
    "kflows/s",
    "CPU, s",
    "wall, s",
    "peak, MB",
    "start-up, s",
    "kpps with start-up",
    "ours × with start-up",
)


def draw(results: Results, page: Path) -> None:
    """Writes the page, and the plot where there is something to plot."""
    picture = page.with_suffix(".png")
    plotted = plot(results, picture)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(_lines(results, picture.name if plotted else "")) + "\n")


def _lines(results: Results, picture: str) -> Iterator[str]:
    yield "# Throughput beside other tools"
    if not results.runs:
        yield "\nNothing is measured yet."
        return
    times = sorted(run["at"] for run in results.runs)
    begin, end = (time.replace("T", " ").rstrip("Z")[:16] for time in (times[0], times[-1]))
    scale = "" if results.scale == 1 else f" Captures are scaled to {results.scale:g}."
    yield (
        f"\nMeasured {begin} to {end} UTC; {results.machine}; all pinned to core {results.core}."
        f"{scale} `make bench` measures again; [captures.py](../../bench/captures.py) makes the "
        "captures, [contenders.py](../../bench/contenders.py) has every command."
    )
    yield (
        "\nFigures are of processor time, user and system, of whole processes and all their "
        "descendants, medians of runs in turn on the same file and core. **kpps** is thousands of "
        "packets a second without start-up, which is the same command's time on a capture of one "
        "packet; *with start-up* nothing is taken off. **ours ×** is how many times as fast "
        "`multa-sensor flows` is. Memory is that of the largest process; the measuring itself "
        "shows as 8 MB."
    )
    yield (
        "\nSlow tools read only the first packets of a capture, and the sensor reads these too, "
        "for the comparison. Where a ratio has an asterisk these are so few that the sensor's "
        "start-up hides all else, and the sensor's kpps is that of the whole capture."
    )
    if picture:
        yield f"\n![Packets a second by tool]({picture})"
    if judged := list(aims(results)):
        yield "\n## Aims\n"
        yield from _table(
            ("", "aim", "measured", ""),
            [(aim.about, aim.aim, aim.measured, _verdict(met=aim.met)) for aim in judged],
        )
    for capture, title in ABOUT.items():
        if capture in results.captures:
            yield f"\n## {title}\n"
            yield from _beside(results, capture)
    yield from _forms(results)
    yield from _lengths(results)
    yield from _inference(results)
    yield from _counts(results)
    yield from _tools(results)


def _verdict(*, met: bool) -> str:
    return "met" if met else "**not met**"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _size(results: Results, capture: str) -> str:
    known = results.captures[capture]
    flows = f" in {known['flows']:,} flows" if known["flows"] else ""
    return f"{known['packets']:,} packets{flows}, {known['bytes'] / 1e6:,.0f} MB"


def _speed_cells(taken: Figure, times: str, times_with_start: str) -> tuple[str, ...]:
    speeds = [speed / 1e3 for speed in taken.speeds]
    return (
        three_digits(taken.speed / 1e3),
        f"{three_digits(min(speeds))}–{three_digits(max(speeds))}",
        times,
        three_digits(taken.flow_speed / 1e3) if taken.flows else "–",
        three_digits(taken.cpu),
        three_digits(taken.wall),
        three_digits(taken.resident / 1e6),
        three_digits(taken.starting),
        three_digits(taken.speed_with_start / 1e3),
        times_with_start,
    )


def _beside(results: Results, capture: str) -> Iterator[str]:
    yield f"{_size(results, capture)}.\n"
    rows = []
    for contender in (*OURS[:2], *PEERS):
        found = compare(results, contender, capture)
        if found and contender.name == "assembly":
            rows.append((contender.title, "all", *_speed_cells(found.peer, "1", "1")))
        elif found:
            name = capture_of(contender, capture)
            read = "all" if name == capture else f"{found.peer.packets:,}"
            times = three_digits(found.times) + ("" if found.same_packets else "*")
            cells = _speed_cells(found.peer, times, three_digits(found.times_with_start))
            rows.append((contender.title, read, *cells))
        elif failure := results.failure(contender.name, capture_of(contender, capture)):
            rows.append((contender.title, failure, *[""] * len(SPEED_HEADER)))
    if capture == SYN and (million := figure(results, "chain", "syn-million")):
        read = f"{million.packets:,}"
        rows.insert(2, (OURS[1].title, read, *_speed_cells(million, "", "")))
    yield from _table(("", "packets read", *SPEED_HEADER), rows)


def _forms(results: Results) -> Iterator[str]:
    about = {
        "third": "a third of the mix, pcap",
        "third-pcapng": "the same, pcapng",
        "third-gzip": "the same, pcap with gzip",
        "64-byte": "frames of 64 bytes",
        "1500-byte": "IP packets of 1,500 bytes",
    }
    readers = [c for c in (*OURS, *PEERS) if set(c.captures) & set(FORMS)]
    rows = []
    for capture in FORMS:
        taken = [figure(results, contender.name, capture) for contender in readers]
        if any(taken):
            cells = [three_digits(one.speed / 1e3) if one else "–" for one in taken]
            rows.append((about[capture], _size(results, capture), *cells))
    if rows:
        yield "\n## File formats and packet sizes\n"
        header = (f"{contender.title}, kpps" for contender in readers)
        yield from _table(("", "", *header), rows)
        yield "\nPayload is random; softflowd and tcpdump don't read gzip."


def _lengths(results: Results) -> Iterator[str]:
    rows = []
    for name, n in (("n-8", "8"), ("assembly", "16"), ("n-32", "32"), ("n-64", "64")):
        if taken := figure(results, name, MIX):
            told = results.told(name, MIX)[0]
            count = sum(value for key, value in told.items() if key.startswith("rows_"))
            cells = (
                three_digits(taken.speed / 1e3),
                f"{count:,.0f}",
                three_digits(taken.resident / 1e6),
            )
            rows.append((n, *cells))
    if rows:
        yield "\n## Length of sequences\n"
        yield "`multa-sensor flows` on the mix.\n"
        yield from _table(("n", "kpps", "rows", "peak, MB"), rows)


def _inference(results: Results) -> Iterator[str]:
    if not (told := results.told("inference", MIX)):
        return
    yield "\n## Inference\n"
    yield (
        f"The shipped bundle on {told[0]['rows']:,.0f} flows of the mix, each scored once and no "
        f"two equal; {told[0]['full']:.0%} have 16 packets, the others fewer. Medians over calls, "
        "then over runs; one core, one thread.\n"
    )
    rows = []
    for key, title in (("network", "network"), ("whole", "encoding, network, calibration")):
        speeds = [run[f"batch_{key}"] for run in told]
        alone = [run[f"single_{key}"] for run in told]
        rows.append(
            (
                title,
                f"{statistics.median(speeds):,.0f}",
                f"{min(speeds):,.0f}–{max(speeds):,.0f}",
                f"{statistics.median(alone):,.0f}",
                f"{min(alone):,.0f}–{max(alone):,.0f}",
            )
        )
    yield from _table(("", "flows/s at batch 256", "spread", "one flow, µs", "spread"), rows)


def _counts(results: Results) -> Iterator[str]:
    rows = []
    for contender in (*OURS[:2], *PEERS):
        cells, agrees = [], True
        for capture in (MIX, SYN):
            name = capture_of(contender, capture)
            told = results.told(contender.name, name)
            beside = results.told("assembly", name)
            if not told or name not in results.captures:
                cells += ["", ""]
                continue
            known = results.captures[name]
            flows = known["flows"] or (beside[0]["flows"] if beside else 0)
            for kind, there in (("packets", known["packets"]), ("flows", flows)):
                counted = told[0].get(kind)
                agrees &= counted in {there, None}
                same = "" if counted in {there, None} else f" of {there:,.0f}"
                cells.append("–" if counted is None else f"{counted:,.0f}{same}")
        if any(cells):
            why = "" if agrees else contender.difference or "**unexplained**"
            rows.append((contender.title, *cells, why))
    if not rows:
        return
    yield "\n## What they count\n"
    yield (
        "Each tool's own counts, beside the packets that it was given and the flows (both "
        "directions of a five-tuple) that these are: of whole captures as they were made, of cuts "
        "as the sensor counts them.\n"
    )
    header = ("", "mix: packets", "flows", "flood: packets", "flows", "why they differ")
    yield from _table(header, rows)


def _tools(results: Results) -> Iterator[str]:
    rows = []
    for contender in (*OURS[:2], *PEERS):
        if contender.name in results.versions and results.of(contender.name, ONE):
            version = results.versions[contender.name]
            rows.append((contender.title, contender.does, version, _command(contender)))
    if rows:
        yield "\n## What they do\n"
        yield from _table(("", "", "version", "command"), rows)
    absent = {
        peer.title: results.absent[peer.name] for peer in PEERS if peer.name in results.absent
    }
    if absent:
        yield "\nNot measured, as they can't be had here:\n"
        yield from (f"- {title}: {reason}" for title, reason in absent.items())


def _command(contender: Contender) -> str:
    words = contender.command.replace("{capture}", "FILE").replace("{scratch}", "FOLDER").split()
    program = words[0].replace("{python}", "python")
    program = "python" if "python" in program else program
    shown = " ".join(word.rsplit("bench/", 1)[-1] for word in words[1:])
    return f"`{program} {shown}`"
