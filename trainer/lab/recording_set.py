"""A published set of recordings: a list with a version, made by one command, with a data card.

The list is a TOML file of `trainer/lab/sets`; recipes name one. Recordings that are there already
are kept, so that a set whose making was interrupted goes on where it stopped. The card and the
check sums are made of what the recordings themselves say, never of what was planned.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sensor.errors import ConfigurationError, MissingInputError, MultaError
from trainer.datasets.extraction import ACCOUNT, CAPTURE, LABELS, Recording, sha256
from trainer.datasets.splits import PARTS
from trainer.lab.attack_kinds import ATTACKS
from trainer.lab.planning import make_plan
from trainer.lab.recording import record
from trainer.lab.scenario import read_scenario

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).parent / "sets"
"""Lists that come with the lab."""

CARD, SUMS = "README.md", "SHA256SUMS"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")

Say = Callable[[str], object]


@dataclass(frozen=True)
class Entry:
    """One recording of a set.

    Attributes:
        scenario: one that is shipped, or the path of a file.
        seed: of the scenario.
        duration_s: seconds.
        part: of the split by source: ``train``, ``validation`` or ``test``.
    """

    scenario: str
    seed: int
    duration_s: float
    part: str

    @property
    def name(self) -> str:
        """Of its folder and of its source in a dataset."""
        return f"{Path(self.scenario).stem}-{self.seed}".replace("_", "-")


@dataclass(frozen=True)
class RecordingSet:
    """A list of recordings under a name and a version."""

    name: str
    version: str
    description: str
    entries: tuple[Entry, ...]

    def parts(self) -> dict[str, str]:
        """The part of each recording, by its name."""
        return {entry.name: entry.part for entry in self.entries}


def shipped_sets() -> list[str]:
    """Names of the sets that come with the lab, sorted."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def read_set(name: str) -> RecordingSet:
    """Reads a shipped set by its name, or a file by its path.

    Raises:
        MissingInputError: there is neither.
        ConfigurationError: the file is not a list of recordings; file, entry and remedy are named.
    """
    path = SHIPPED / f"{name}.toml" if name in shipped_sets() else Path(name)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingInputError(
            f"{path}: {error.strerror}; give a TOML file or one of {', '.join(shipped_sets())}"
        ) from None
    except ValueError as error:
        raise ConfigurationError(f"{path}: not TOML: {error}") from None
    texts = [document.get(key) for key in ("version", "description")]
    listed = document.get("recordings")
    if set(document) != {"version", "description", "recordings"} or not (
        all(isinstance(text, str) and text for text in texts) and isinstance(listed, list)
    ):
        raise ConfigurationError(
            f"{path}: write version and description, texts, and [[recordings]], nothing else"
        )
    entries = tuple(_entry(f"{path}: recordings, number {n}", e) for n, e in enumerate(listed, 1))
    names = [entry.name for entry in entries]
    if not names:
        raise ConfigurationError(f"{path}: lists no recording; write one at least")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(
            f"{path}: two recordings are {twice[0]}; give one of them another seed"
        )
    return RecordingSet(path.stem, str(texts[0]), str(texts[1]), entries)


def _entry(where: str, table: Any) -> Entry:
    expected = [each.name for each in fields(Entry)]
    if not isinstance(table, dict) or set(table) != set(expected):
        raise ConfigurationError(f"{where}: write {', '.join(expected)}, nothing else")
    entry = Entry(**table)
    if not isinstance(entry.scenario, str):
        raise ConfigurationError(f"{where}: scenario is no text")
    if type(entry.seed) is not int or not 0 <= entry.seed < 1 << 32:
        raise ConfigurationError(f"{where}: seed is no whole number from 0 to 4294967295")
    if type(entry.duration_s) not in {int, float}:
        raise ConfigurationError(f"{where}: duration_s is no number of seconds")
    if entry.part not in PARTS:
        raise ConfigurationError(f"{where}: part is not one of {', '.join(PARTS)}")
    # It becomes the name of a folder and of a file.
    if not _NAME.fullmatch(entry.name):
        raise ConfigurationError(
            f"{where}: scenario is the name of no file made of letters, digits, '-' and '_'"
        )
    return entry


def record_missing(wanted: RecordingSet, folder: Path, say: Say) -> list[Recording]:
    """Records what is not there yet; needs what the lab needs, and nothing if all is there.

    Args:
        wanted: the list.
        folder: holds a folder for every recording.
        say: told what is being done.

    Returns:
        All recordings of the list, in its order.

    Raises:
        ConfigurationError: a recording that is there is not the list's.
        MultaError: one can't be made; all plans are looked at before the first one is.
    """
    missing = [entry for entry in wanted.entries if not _is_there(entry, folder / entry.name)]
    for entry in missing:
        with _about(entry):
            make_plan(read_scenario(entry.scenario), entry.seed, entry.duration_s)
    for number, entry in enumerate(missing, 1):
        say(f"{number}/{len(missing)} {entry.name}: {entry.scenario}, {entry.duration_s:g} s")
        with _about(entry):
            record(entry.scenario, folder / entry.name, entry.duration_s, entry.seed)
    return recorded(wanted, folder)


def recorded(wanted: RecordingSet, folder: Path) -> list[Recording]:
    """The recordings of a list, there or not, in its order."""
    places = [(entry.name, folder / entry.name) for entry in wanted.entries]
    return [Recording(name, place / CAPTURE, place / LABELS) for name, place in places]


@contextmanager
def _about(entry: Entry) -> Iterator[None]:
    """Errors say which recording they are about."""
    try:
        yield
    except MultaError as error:
        raise type(error)(f"recording {entry.name}: {error}") from None


def make_set(wanted: RecordingSet, folder: Path, say: Say) -> None:
    """Records what is not there yet, then writes data card and check sums.

    Arguments and errors are those of `record_missing`.
    """
    files = [
        (each.name, path.name, path)
        for each in record_missing(wanted, folder, say)
        for path in (each.capture, each.labels, each.capture.with_name(ACCOUNT))
        if path is not None
    ]
    sums = "".join(f"{sha256(path)}  {name}/{file}\n" for name, file, path in files)
    accounts = {entry.name: _account(folder / entry.name) for entry in wanted.entries}
    (folder / SUMS).write_text(sums, encoding="ascii")
    (folder / CARD).write_text(data_card(wanted, accounts), encoding="utf-8")


def _is_there(entry: Entry, place: Path) -> bool:
    """Whether the recording is there.

    Raises:
        ConfigurationError: another one is in its place.
    """
    if not (place / ACCOUNT).exists():
        return False
    account = _account(place)
    made = tuple(account.get(key) for key in ("scenario", "seed", "duration_s"))
    planned = (Path(entry.scenario).stem, entry.seed, entry.duration_s)
    if made != planned:
        raise ConfigurationError(
            f"{place}: is of scenario, seed and seconds {made}, but the list says {planned}; "
            "remove the folder, or name another one for the recordings"
        )
    return True


def _account(place: Path) -> dict[str, Any]:
    try:
        account = json.loads((place / ACCOUNT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        account = None
    if not isinstance(account, dict):
        raise ConfigurationError(
            f"{place / ACCOUNT}: damaged; remove the folder, and it is recorded again"
        )
    return account


def data_card(wanted: RecordingSet, accounts: dict[str, dict[str, Any]]) -> str:
    """The set's description in Markdown, with what the recordings say of themselves."""
    parts = wanted.parts()
    lines = [
        f"# Recordings {wanted.name}, version {wanted.version}",
        "",
        wanted.description,
        "",
        "Made by this project's lab (docs/lab.md): real programs in network namespaces, bounded",
        "attacks on the lab's own hosts, no traffic of anybody. Licence: that of the project.",
        "Frames are cut to the bytes that the table says; labels are by schedule and checked.",
        "Made again with `multa-trainer lab set`, a list gives the same plans and other packets:",
        f"timings are real. `{SUMS}` tells which files these are.",
        "",
        "| recording | part | scenario | seed | s | hosts | frames | cut | flows | of attacks |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, account in accounts.items():
        found = _of_attacks(account)
        words = ", ".join(f"{task} {found[task]}" for task in ATTACKS if found[task])
        lines.append(
            f"| {name} | {parts[name]} | {account['scenario']} | {account['seed']} | "
            f"{account['duration_s']:g} | {len(account['hosts'])} | "
            f"{account['recorder']['captured']} | {account['snaplen']} | {account['flows']} | "
            f"{words or 'none'} |"
        )
    tables = (lines, _totals(parts, accounts), _tools(accounts), _classes(parts, accounts))
    return "\n\n".join("\n".join(table) for table in tables if table) + "\n"


def _of_attacks(account: dict[str, Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    for attack in account["attacks"]:
        found[attack["task"]] += attack["captured_flows"]
    return found


def _totals(parts: dict[str, str], accounts: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        "| part | recordings | minutes | frames | flows | benign flows | "
        + " | ".join(f"{task} (attacks)" for task in ATTACKS)
        + " |",
        "|---" * (6 + len(ATTACKS)) + "|",
    ]
    for part in PARTS:
        of = [account for name, account in accounts.items() if parts[name] == part]
        flows, found = sum(each["flows"] for each in of), Counter[str]()
        for each in of:
            found.update(_of_attacks(each))
        times = Counter(attack["task"] for each in of for attack in each["attacks"])
        frames = sum(each["recorder"]["captured"] for each in of)
        minutes = sum(each["duration_s"] for each in of) / 60
        cells = [f"{found[task]} ({times[task]})" for task in ATTACKS]
        benign = flows - sum(found.values())
        lines.append(
            f"| {part} | {len(of)} | {minutes:.1f} | {frames} | {flows} | {benign} | "
            + " | ".join(cells)
            + " |"
        )
    return lines


def _classes(parts: dict[str, str], accounts: dict[str, dict[str, Any]]) -> list[str]:
    """Connections whose class the label files know, by service and part."""
    found = {name: Counter(each.get("classes", {})) for name, each in accounts.items()}
    services = sorted({service for counts in found.values() for service in counts})
    if not services:
        return []
    lines = [f"| part | {' | '.join(services)} |", "|---" * (1 + len(services)) + "|"]
    for part in PARTS:
        of = [counts for name, counts in found.items() if parts[name] == part]
        cells = [str(sum(counts[service] for counts in of)) for service in services]
        lines.append(f"| {part} | {' | '.join(cells)} |")
    return lines


def _tools(accounts: dict[str, dict[str, Any]]) -> list[str]:
    """What the attacks were made with, and how fast they were."""
    lines = ["| attack | by, how and what | rate, from to |", "|---|---|---|"]
    if not any(account["attacks"] for account in accounts.values()):
        return []
    for task in ATTACKS:
        attacks = [
            attack
            for account in accounts.values()
            for attack in account["attacks"]
            if attack["task"] == task
        ]
        if not attacks:
            continue
        words = Counter(
            str(attack["settings"][key])
            for attack in attacks
            for key in ("tool", "style", "mode", "method", "service", "protocol")
            if key in attack["settings"]
        )
        rates = [attack["settings"]["rate"] for attack in attacks]
        made = ", ".join(f"{word} ({times})" for word, times in sorted(words.items()))
        lines.append(f"| {task} | {made} | {min(rates):.3g} to {max(rates):.4g} |")
    return lines
