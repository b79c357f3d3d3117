"""A report of alert logs as one HTML page, which loads nothing and needs no network.

It can be read without its script, which sorts the table of incidents and picks rows out of it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

import sensor
from sensor.quantities import duration, number
from sensor.reporting.report_chart import Span, histogram, severity_class, timeline
from sensor.reporting.report_facts import INCIDENTS, Facts, Incident
from sensor.reporting.report_markup import Cell, count, plain, sentence, table, when
from sensor.reporting.report_status import Health
from sensor.reporting.report_style import SCRIPT, head

SHOWN = 2_000
"""Incidents in the table, the worst ones: browsers get slow with many more."""

TOP = 10
"""Addresses and devices in each table."""

TASKS = 40
"""Tasks in the timeline: a log of anybody may name any number."""

_SEVERITIES = {1: "high", 2: "medium", 3: "low"}
_BINS = 20


@dataclass(frozen=True)
class Material:
    """All that a report tells of.

    Attributes:
        facts: of the alerts.
        title: of the page.
        made: when.
        sources: names of the logs.
        since, until: what was asked for.
        health: of the status file, where there is one.
        evidence: whether rows of an incident are kept, by alert_id; None where nobody looked.
        verdict: what operators have said of an incident, by alert_id; empty if nothing.
        unread: lines of the logs that were left out, in words.
        pictures: incidents with a drawing of why each was told (`sensor.reporting.drawing`).
    """

    facts: Facts
    title: str
    made: datetime
    sources: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    health: Health = field(default_factory=Health)
    evidence: Callable[[str], bool] | None = None
    verdict: Callable[[str], str] = lambda _: ""
    unread: str = ""
    pictures: Sequence[tuple[Incident, str]] = ()


def page(material: Material) -> str:
    """The whole page."""
    parts = [head(plain(material.title)), "<body>\n<main>\n"]
    parts.append(f"<h1>{plain(material.title)}</h1>\n")
    parts += [f"{part}\n" for part in _parts(material)]
    parts.append(
        f'<p class="soft">Made by multa-sensor {plain(sensor.__version__)} on '
        f"{material.made.astimezone():%Y-%m-%d at %H:%M:%S %Z}. Times are {_zone(material)}.</p>\n"
        f"</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
    return "".join(parts)


def _parts(material: Material) -> Iterator[str]:
    facts = material.facts
    incidents = list(facts.incidents.values())
    yield f'<p class="lead">{_summary(material)}</p>'
    yield f'<p class="soft">{_scope(material)}</p>'
    yield _cards(material)
    if incidents:
        tasks = dict(list(facts.tasks().items())[:TASKS])
        span = _span(material)
        yield "<h2>Timeline</h2>"
        yield f'<figure><div class="scroll">{timeline(tasks, material.health.blind(), span)}</div>'
        yield f"<figcaption>{_legend(material)}</figcaption></figure>"
        yield from _tops(facts)
    yield from _histograms(material)
    if incidents:
        yield from _table(material)
    yield from _why(material)
    yield from _withheld(facts)
    yield from material.health.sections()
    if not material.health.document:
        yield from _found_by(facts)


def _summary(material: Material) -> str:
    """What a person should know, in a few sentences."""
    facts, health = material.facts, material.health
    incidents = facts.incidents.values()
    sentences = []
    if not incidents:
        sentences.append("No incident was found.")
    else:
        severe = Counter(each.severity for each in incidents)
        by_severity = ", ".join(
            f"{'all' if len(severe) == 1 < len(incidents) else f'{severe[key]:,}'} of "
            f"{_SEVERITIES.get(key, key)} severity"
            for key in sorted(severe)
        )
        tasks = Counter(each.task for each in incidents)
        sentences.append(
            f"<strong>{number(len(incidents), 'incident')}</strong> of "
            f"{number(len(tasks), 'task')}: {by_severity}."
        )
        (address, most), *_ = Counter(each.address for each in incidents).most_common(1)
        device = next((e.device for e in incidents if e.address == address and e.device), "")
        about = f"{address} ({device})" if device else address
        if most == len(incidents):
            sentences.append(f"{'All are' if most > 1 else 'It is'} about {plain(about)}.")
        elif most > 1:
            sentences.append(f"{plain(about)} has the most of them: {most:,}.")
        if still := sum(each.state == "open" for each in incidents):
            sentences.append(f"Not ended when the log was read: {still:,}.")
        if attacking := sum("source" in (each.yours or ()) for each in incidents):
            sentences.append(f"In {attacking:,} a device of yours takes part in the attack.")
    if total := sum(facts.withheld_tasks.values()):
        sentences.append(f"Withheld, as they were too many: {number(total, 'alert')}.")
    sentences += [sentence(text) for text in _state(health)]
    return " ".join(sentences)


def _state(health: Health) -> Iterator[str]:
    if health.state:
        at = f" at {health.written.astimezone():%Y-%m-%d %H:%M:%S}" if health.written else ""
        why = f" ({'; '.join(health.reasons[:5])})" if health.reasons else ""
        yield f"The sensor was {health.state}{at}{why}."
    if blind := health.blind():
        yield f"It was blind {'once' if len(blind) == 1 else f'{len(blind):,} times'}."
    if lost := health.counter("kernel_drops"):
        yield f"Frames lost before anybody could look at them: {lost:,}."


def _scope(material: Material) -> str:
    facts = material.facts
    named = ", ".join(material.sources[:5]) + (", …" if len(material.sources) > 5 else "")
    alerts = number(sum(facts.alerts.values()), "alert")
    text = f"From {alerts} in {named}" if named else f"From {alerts}"
    if facts.first and facts.last:
        text += f", {facts.first.astimezone():%Y-%m-%d %H:%M:%S} to "
        text += f"{facts.last.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    if material.since:
        text += f"; asked for what is since {material.since.astimezone():%Y-%m-%d %H:%M:%S}"
    if material.until:
        joint = " and" if material.since else "; asked for what is"
        text += f"{joint} until {material.until.astimezone():%Y-%m-%d %H:%M:%S}"
    if material.unread:
        text += f"; {material.unread}"
    if beyond := sum(facts.beyond.values()):
        text += f"; {number(beyond, 'alert')} of incidents beyond the first {INCIDENTS:,} left out"
    return sentence(f"{text}.")


def _cards(material: Material) -> str:
    facts, health = material.facts, material.health
    incidents = facts.incidents.values()
    high = sum(each.severity == 1 for each in incidents)
    cards = [
        ("Incidents", f"{len(incidents):,}", f"{high:,} of high severity", "bad" if high else ""),
        ("Alerts", f"{sum(facts.alerts.values()):,}", "lines of the log", ""),
    ]
    total = sum(facts.withheld_tasks.values())
    cards.append(("Withheld", f"{total:,}", "too many at once", "warn" if total else ""))
    if health.state:
        good = {"healthy": "good", "degraded": "warn", "starting": "warn"}
        cards.append(("Sensor", health.state, "", good.get(health.state, "bad")))
        blind_s = health.blind_s()
        text = duration(blind_s) if blind_s else "never"
        cards.append(("Blind", text, "any interface, summed", "warn" if blind_s else ""))
    if health.statistics:
        lost, packets = health.counter("kernel_drops"), health.counter("packets")
        share = f"{lost / (lost + packets):.2%} of all" if lost else f"of {packets:,}"
        cards.append(("Frames lost", f"{lost:,}", share, "bad" if lost else ""))
    shown = [
        f'<div class="card"><dt>{name}</dt><dd{f" class={kind}" if kind else ""}>{plain(value)}'
        f"<small>{plain(below)}</small></dd></div>"
        for name, value, below, kind in cards
    ]
    return f'<dl class="cards">{"".join(shown)}</dl>'


def _span(material: Material) -> Span:
    times = [t for each in material.facts.incidents.values() for t in (each.first, each.last)]
    asked = [t for t in (material.since, material.until) if t is not None]
    return Span.around([*times, *asked])


def _legend(material: Material) -> str:
    blind = " Grey: an interface was blind." if material.health.blind() else ""
    more = len(material.facts.tasks()) - TASKS
    left_out = f" {more:,} more tasks are left out." if more > 0 else ""
    return (
        '<span class="mark s1">■ high</span> <span class="mark s2">■ medium</span> '
        '<span class="mark s3">■ low</span> A bar is an incident, from its first packet to its '
        "last; where there are too many at once, a column counts them, on a logarithmic scale."
        f"{blind}{left_out} Point at one for more."
    )


def _tops(facts: Facts) -> Iterator[str]:
    yield "<h2>Who</h2>"
    yield (
        '<p class="soft">By incidents. Of an incident about a victim, the sources are the other '
        "ends of the few flows that its alert shows, and the other way round. Whoever forges "
        "packets chooses the addresses in them.</p>"
    )
    yield '<div class="side">'
    named = {each.address: each.device for each in facts.incidents.values() if each.device}
    roles = {"Sources": "source", "Victims": "victim", "Peers": "peer"}
    groups = [(caption, facts.addresses(role)) for caption, role in roles.items()]
    for caption, counts in groups:
        rows = [
            [f"{address} ({named[address]})" if address in named else address, count(incidents)]
            for address, incidents in counts.most_common(TOP)
        ]
        more = f", {TOP} of {len(counts):,}" if len(counts) > TOP else ""
        if rows:
            yield f"<div>{table(caption + more, ['address', 'incidents'], rows)}</div>"
    if devices := facts.devices():
        rows = [[device, count(incidents)] for device, incidents in devices.most_common(TOP)]
        yield f"<div>{table('Devices', ['device', 'incidents'], rows)}</div>"
    yield "</div>"


def _histograms(material: Material) -> Iterator[str]:
    incidents = material.facts.incidents.values()
    thresholds = {f"{each.model}/{each.task}": each.threshold for each in incidents}
    drawn = [
        (each.name, histogram(each.name, each.edges, each.counts, thresholds.get(each.name), "row"))
        for each in material.health.histograms()
    ]
    text = "All rows that the models have scored since the sensor was started."
    if not drawn:
        text = "The highest score of each incident; a status file would tell of all rows."
        edges = [place / _BINS for place in range(_BINS + 1)]
        keyed = sorted(incidents, key=_model_and_task)
        for name, group in groupby(keyed, _model_and_task):
            counts = [0] * _BINS
            for each in group:
                counts[min(_BINS - 1, max(0, int(each.score * _BINS)))] += 1
            drawing = histogram(name, edges, counts, thresholds[name], "incident", positive=True)
            drawn.append((name, drawing))
    if drawn:
        yield "<h2>Scores</h2>"
        yield (
            f'<p class="soft">{text} Heights are logarithmic; the dashed line is the threshold, '
            "from which on scores are positive.</p>"
        )
        yield '<div class="side">'
        for name, drawing in drawn[:TASKS]:
            yield f"<figure><h3>{plain(name)}</h3>{drawing}</figure>"
        yield "</div>"


def _model_and_task(incident: Incident) -> str:
    return f"{incident.model}/{incident.task}"


def _table(material: Material) -> Iterator[str]:
    incidents = list(material.facts.incidents.values())
    worst = sorted(incidents, key=Incident.rank)[:SHOWN]
    heads = ["began", "lasted", "severity", "task", "about", "flows", "score", "state", "found by"]
    heads += ["evidence"] if material.evidence else []
    heads += ["verdict"] if any(material.verdict(each.alert_id) for each in worst) else []
    heads += ["alert_id"]
    rows = [_row(material, each, heads) for each in sorted(worst, key=lambda each: each.first)]
    caption = "In order of time."
    if len(incidents) > SHOWN:
        caption += f" The {SHOWN:,} worst of {len(incidents):,}."
    if material.evidence:
        caption += " Where evidence was kept, multa-sensor explain ALERT_ID shows why."
    yield "<h2>Incidents</h2>"
    yield f'<div class="scroll">{table(caption, heads, rows, kind="incidents sortable")}</div>'


def _why(material: Material) -> Iterator[str]:
    if not material.pictures:
        return
    yield "<h2>Why</h2>"
    yield (
        '<p class="soft">The worst incident of each task, from the evidence that it left, as '
        "multa-sensor explain draws it. Scores are of the model; whether somebody attacked is for "
        "people to say.</p>"
    )
    for place, (each, drawing) in enumerate(material.pictures):
        about = f"{each.task}, {each.role} {each.address}, {each.first.astimezone():%Y-%m-%d %T}"
        yield (
            f"<details{'' if place else ' open'}><summary>{plain(about)}</summary>"
            f'<div class="scroll why">{drawing}</div></details>'
        )


def _row(material: Material, each: Incident, heads: Sequence[str]) -> list[Cell | str]:
    name = f" ({each.device})" if each.device else ""
    inside = f", yours: {' and '.join(each.yours)}" if each.yours else ""
    mark = (
        f'<span class="mark {severity_class(each.severity)}">'
        f"{_SEVERITIES.get(each.severity, each.severity)}</span>"
    )
    cells: dict[str, Cell | str] = {
        "began": when(each.first),
        "lasted": Cell(duration(each.seconds), each.seconds, "n"),
        "severity": Cell("", each.severity, "", mark),
        "task": Cell(each.task, small=", ".join(each.techniques)),
        "about": f"{each.role} {each.address}{name}{inside}",
        "flows": _amount(each),
        "score": Cell(f"{each.score:.3f}", each.score, "n"),
        "state": each.state,
        "found by": each.model,
        "verdict": material.verdict(each.alert_id),
        "alert_id": Cell(each.alert_id, kind="id"),
    }
    if material.evidence:
        cells["evidence"] = "kept" if material.evidence(each.alert_id) else "–"
    return [cells[name] for name in heads]


def _amount(each: Incident) -> Cell:
    """How many flows, or measurements of a peer."""
    if each.measured:
        return Cell(f"{each.rows:,}", each.rows, "n", small="measured")
    return count(each.flows)


def _withheld(facts: Facts) -> Iterator[str]:
    if not facts.withheld_tasks:
        return
    yield "<h2>Withheld alerts</h2>"
    yield (
        '<p class="soft">Beyond 1,000 alerts at once, 2 a second are told and the others only '
        "counted: whoever sends enough packets can cause that.</p>"
    )
    rows = [[task, count(events)] for task, events in facts.withheld_tasks.most_common(TASKS)]
    yield '<div class="side"><div>'
    yield table("By task.", ["task", "alerts"], rows)
    yield "</div><div>"
    told = [[when(time), count(total)] for time, total, _ in facts.withheld[-TASKS:]]
    caption = "As the log tells it" + (
        f", the last {TASKS} times." if len(facts.withheld) > TASKS else "."
    )
    yield table(caption, ["told", "alerts"], told)
    yield "</div></div>"


def _found_by(facts: Facts) -> Iterator[str]:
    """Which detectors the alerts name, where no status tells of all."""
    if not facts.incidents:
        return
    rows = [
        [name, version, Cell(sha256 or "–", kind="hash"), count(incidents)]
        for (name, version, sha256), incidents in facts.models().most_common(TOP)
    ]
    heads = ["name", "version", "SHA-256 of the network", "incidents"]
    yield "<h2>Models</h2>"
    yield f'<div class="scroll">{table("That the alerts name.", heads, rows)}</div>'


def _zone(material: Material) -> str:
    return f"of the zone {plain(material.made.astimezone().tzname())}"
