"""A published set of recordings: a list with a version, made by one command, with a data card.

The list is a TOML file of `trainer/lab/sets`. Recordings that are there already are kept, so that
a set whose making was interrupted goes on where it stopped. The card and the check sums are made
of what the recordings themselves say, never of what was planned.
"""

import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sensor.errors import ConfigurationError, MissingInputError, MultaError
from trainer.datasets.extraction import ACCOUNT, CAPTURE, LABELS
from trainer.lab.attack_kinds import ATTACKS
from trainer.lab.planning import make_plan
from trainer.lab.recording import record
from trainer.lab.scenario import read_scenario, shipped_scenarios

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).parent / "sets"
"""Lists that come with the lab."""

CARD, SUMS = "README.md", "SHA256SUMS"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")
_BLOCK_BYTES = 1 << 20

Say = Callable[[str], object]


@dataclass(frozen=True)
class Entry:
    """One recording of a set.

    Attributes:
        name: of its folder.
        use: what it is for: ``train``, or ``left-out`` for tests of what was never trained on.
        scenario: one that is shipped.
        seed: of the scenario.
        duration_s: seconds.
    """

    name: str
    use: str
    scenario: str
    seed: int
    duration_s: float


@dataclass(frozen=True)
class RecordingSet:
    """A list of recordings under a name and a version."""

    name: str
    version: str
    description: str
    recordings: tuple[Entry, ...]


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
    entries = tuple(
        _entry(f"{path}: [[recordings]] number {n}", e) for n, e in enumerate(listed, 1)
    )
    names = [entry.name for entry in entries]
    if not names or len(set(names)) < len(names):
        raise ConfigurationError(f"{path}: give every recording a name of its own, one at least")
    return RecordingSet(path.stem, str(texts[0]), str(texts[1]), entries)


def _entry(where: str, table: Any) -> Entry:
    expected = {each.name: each.type for each in fields(Entry)}
    if not isinstance(table, dict) or set(table) != set(expected):
        raise ConfigurationError(f"{where}: write {', '.join(expected)}, nothing else")
    name, seed, seconds = table["name"], table["seed"], table["duration_s"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(f"{where}: name is not made of lower-case letters, digits and '-'")
    if table["use"] not in {"train", "left-out"}:
        raise ConfigurationError(f"{where}: use is neither 'train' nor 'left-out'")
    if table["scenario"] not in shipped_scenarios():
        raise ConfigurationError(f"{where}: scenario is none of {', '.join(shipped_scenarios())}")
    if type(seed) is not int or not 0 <= seed < 1 << 32:
        raise ConfigurationError(f"{where}: seed is no whole number from 0 to 4294967295")
    if type(seconds) not in {int, float}:
        raise ConfigurationError(f"{where}: duration_s is no number of seconds")
    return Entry(**table)


def make_set(wanted: RecordingSet, folder: Path, say: Say) -> dict[str, dict[str, Any]]:
    """Records what is not there yet, then writes data card and check sums.

    Args:
        wanted: the list.
        folder: holds a folder for every recording.
        say: told what is being done.

    Returns:
        The accounts of all recordings by name.

    Raises:
        ConfigurationError: a recording that is there is not the list's.
        MultaError: one can't be made; all plans are looked at before the first one is.
    """
    missing = [entry for entry in wanted.recordings if not _is_there(entry, folder / entry.name)]
    for entry in missing:
        make_plan(read_scenario(entry.scenario), entry.seed, entry.duration_s)
    for number, entry in enumerate(missing, 1):
        say(f"{number}/{len(missing)} {entry.name}: {entry.scenario}, {entry.duration_s:g} s")
        try:
            record(entry.scenario, folder / entry.name, entry.duration_s, entry.seed)
        except MultaError as error:
            raise type(error)(f"recording {entry.name}: {error}") from None
    accounts = {entry.name: _account(folder / entry.name) for entry in wanted.recordings}
    sums = "".join(
        f"{_sha256(folder / name / file)}  {name}/{file}\n"
        for name in accounts
        for file in (CAPTURE, LABELS, ACCOUNT)
    )
    (folder / SUMS).write_text(sums, encoding="ascii")
    (folder / CARD).write_text(data_card(wanted, accounts), encoding="utf-8")
    return accounts


def _is_there(entry: Entry, place: Path) -> bool:
    if not (place / ACCOUNT).exists():
        return False
    account = _account(place)
    made = tuple(account.get(key) for key in ("scenario", "seed", "duration_s"))
    if made != (entry.scenario, entry.seed, entry.duration_s):
        raise ConfigurationError(
            f"{place}: is another recording than the list's (scenario, seed and seconds {made}); "
            "remove it, or choose another folder"
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


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def data_card(wanted: RecordingSet, accounts: dict[str, dict[str, Any]]) -> str:
    """The set's description in Markdown, with what the recordings say of themselves."""
    uses = {entry.name: entry.use for entry in wanted.recordings}
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
        "| recording | use | scenario | seed | s | hosts | frames | cut | flows | of attacks |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, account in accounts.items():
        found = _of_attacks(account)
        words = ", ".join(f"{task} {found[task]}" for task in ATTACKS if found[task])
        lines.append(
            f"| {name} | {uses[name]} | {account['scenario']} | {account['seed']} | "
            f"{account['duration_s']:g} | {len(account['hosts'])} | "
            f"{account['recorder']['captured']} | {account['snaplen']} | {account['flows']} | "
            f"{words or 'none'} |"
        )
    return "\n".join([*lines, "", *_totals(uses, accounts), "", *_tools(accounts)]) + "\n"


def _of_attacks(account: dict[str, Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    for attack in account["attacks"]:
        found[attack["task"]] += attack["captured_flows"]
    return found


def _totals(uses: dict[str, str], accounts: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        "| use | recordings | minutes | frames | flows | benign flows | "
        + " | ".join(f"{task} (attacks)" for task in ATTACKS)
        + " |",
        "|---" * (6 + len(ATTACKS)) + "|",
    ]
    for use in sorted(set(uses.values()), reverse=True):
        of = [account for name, account in accounts.items() if uses[name] == use]
        flows, found = sum(each["flows"] for each in of), Counter[str]()
        for each in of:
            found.update(_of_attacks(each))
        times = Counter(attack["task"] for each in of for attack in each["attacks"])
        frames = sum(each["recorder"]["captured"] for each in of)
        minutes = sum(each["duration_s"] for each in of) / 60
        cells = [f"{found[task]} ({times[task]})" for task in ATTACKS]
        benign = flows - sum(found.values())
        lines.append(
            f"| {use} | {len(of)} | {minutes:.1f} | {frames} | {flows} | {benign} | "
            + " | ".join(cells)
            + " |"
        )
    return lines


def _tools(accounts: dict[str, dict[str, Any]]) -> list[str]:
    """What the attacks were made with, and how fast they were."""
    lines = ["| attack | by, how and what | rate, from to |", "|---|---|---|"]
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
