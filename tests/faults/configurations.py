"""Configurations made from the keys that exist, damaged in all ways, and what the reader says.

A configuration is decided by seed and number alone, so a failure is reproduced by
``python -m faults.configurations SEED NUMBER``, which writes it to standard output. The promise: it
is accepted, and then what is in force, written out, means the same; or it is refused with one line
of the kind that has exit status 78. Nothing else is raised, and nothing takes a second.
"""

import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from command import sensor_process
from tqdm import tqdm

from sensor.errors import ConfigurationError
from sensor.service.config.configuration import read
from sensor.service.config.configuration_text import default_text, effective_text
from sensor.service.config.settings import Settings

CPU_SECONDS = 1.0
LONGEST_MESSAGE = 1_000
PROCESSES = 40
"""How many are given to a process of its own, too."""

BASE = re.sub(r"(?m)^#", "", re.sub(r"(?m)^(?:# .*|#|)\n", "", default_text()))
"""The default file without comments, with every key in force."""

_KEY_AND_VALUE = re.compile(r"(?m)^([^#\[\n=]+) = (.+)$")
_HEADER = re.compile(r"(?m)^\[.+\]$")

VALUES = (
    *("true", "false", "0", "1", "-1", "64", "65", "2048", "+7", "1_000", "0x10", "0o17", "0b11"),
    *("9223372036854775807", "9223372036854775808", "9" * 400, "9" * 5_000, "0x" + "f" * 5_000),
    *("1.0", "1e3", "-0.0", "inf", "nan", "1e999", "1" * 400 + ".0"),
    *('""', '"-"', '" "', '"a"', "'a'", '"\\u0000"', '"\\u001b[2J"', '"\\ud800"', '"\\n"', '"🦊"'),
    *('"ä"', '"e\\u0301"', '"\\u202e"', '"/"', '"//"', '"~"', '"../../x"', '"/dev/zero"', '"."'),
    *('"10.0.0.0/8"', '"10.0.0.1/8"', '"fd00::/8"', '"fe80::1%lo"', '"::ffff:1.2.3.4"', '"0/0"'),
    *('"0.0.0.0/0"', '"٠.٠.٠.٠"', '"any"', '"never"', '"eth0"', '"eth0:1"', '"native"', '"TCP"'),
    *('"tcp"', '"udp://h:514"', '"udp://h:99999"', '"mqtt://u@h/t"', '"127.0.0.1:80"'),
    *('"iot-gateway"', '"./mine"', '"iot-gateway/"', '"00:11:22:33:44:55"', '"' + "0" * 64 + '"'),
    *("2027-01-01", "0001-01-01", "9999-12-31", "2027-02-30", "1979-05-27T07:32:00Z", "07:32:00"),
    *("9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00+23:59", "1970-01-01T00:00:00"),
    *("[]", "[[]]", '["a", "a"]', '["a", 1]', "[1, 2]", '["10.0.0.0/8"]', '["eth0", "eth1"]'),
    *("{}", "{ a = 1 }", '{ "10.0.0.1" = "a" }', "{ scan = 3 }", "{ a.b.c = { d = [] } }"),
    *('"""a\nb"""', "'''\n'''", "[\n1,\n]", '"' + "x" * 5_000 + '"', "[" * 2_000 + "]" * 2_000),
    *("[" * 5_000, "{a=" * 2_000, "", "=", "nul", "#", '"', "'''", "yes", '["' + "a" * 16 + '"]'),
)  # fmt: skip
"""What a value may be damaged to."""

KEYS = (
    *("", "Interfaces", "interface", "workers.a", '"workers"', "'source'", '"a\\u0000"', "ä"),
    *("a.b.c", '"\\u202e"', "home", "active", "output", "comment", "x" * 3_000, "a." * 500 + "a"),
    *("capture.workers", "[a]", "1", "-", '""', "key\u200b", "allow", "expires", "true", "\t"),
)
HEADERS = (
    *("[]", "[captur]", "[Capture]", "[[capture]]", "[allow]", "[[allow]]", "[[allow.source]]"),
    *("[capture.workers]", "[network.devices]", '["network"."devices"]', "[a.b.c]", "[[network]]"),
    *("[alerts.severity.scan]", "[" + "a." * 500 + "a]", "[ capture ]", "[capture", "[[models]"),
)


def configuration(seed: int, number: int) -> tuple[str, bytes]:
    """The kind of damage, and a configuration that has it.

    Args:
        seed: of all of them.
        number: of this one.
    """
    chance = random.Random(f"{seed}/{number}")
    name = chance.choice(list(_KINDS))
    content = BASE.encode()
    for _ in range(chance.choice((1, 1, 2, 5))):
        content = _KINDS[name](chance, content)
    return name, content


def _text(content: bytes) -> str:
    return content.decode(errors="surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _flip(chance: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _insert(chance: random.Random, content: bytes) -> bytes:
    at = chance.randint(0, len(content))
    return content[:at] + chance.randbytes(chance.randint(1, 16)) + content[at:]


def _cut(chance: random.Random, content: bytes) -> bytes:
    begin, end = sorted(chance.choices(range(len(content) + 1), k=2))
    return chance.choice((content[:begin], content[:begin] + content[end:]))


def _lines(chance: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    one, other = (chance.randrange(len(lines)) for _ in range(2))
    what = chance.randrange(4)
    if what == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif what == 1:
        lines.insert(one, lines[other])
    elif what == 2:
        del lines[one]
    else:
        lines[one] += chance.choice((b"", b" ", b"\t# x")) + lines[other]
    return b"\n".join(lines)


def _changed(chance: random.Random, content: bytes, what: "re.Pattern[str]", new: str) -> bytes:
    text = _text(content)
    found = list(what.finditer(text))
    if not found:
        return content
    one = chance.choice(found)
    return _bytes(text[: one.start()] + new.replace("KEY", one[1] if one.re.groups else "") +
                  text[one.end() :])  # fmt: skip


def _value(chance: random.Random, content: bytes) -> bytes:
    return _changed(chance, content, _KEY_AND_VALUE, f"KEY = {chance.choice(VALUES)}")


def _likely_value(chance: random.Random, content: bytes) -> bytes:
    """Another value of the same kind, so that many are accepted."""
    text = _text(content)
    found = list(_KEY_AND_VALUE.finditer(text))
    one = chance.choice(found)
    old = one[2]
    if old in ("true", "false"):
        new = chance.choice(("true", "false"))
    elif old.isdigit():
        new = str(chance.choice((0, 1, 2, 63, 64, 300, 65_535, chance.randrange(100_000))))
    else:
        new = chance.choice((old, "[]", '""', '"/a/b"', old.replace("a", "b"), old.upper()))
    return _bytes(f"{text[: one.start()]}{one[1]} = {new}{text[one.end() :]}")


def _key(chance: random.Random, content: bytes) -> bytes:
    return _changed(chance, content, _KEY_AND_VALUE, f"{chance.choice(KEYS)} = 1")


def _added(chance: random.Random, content: bytes) -> bytes:
    at = chance.choice([each.start() for each in re.finditer(rb"(?m)^", content)])
    line = chance.choice(
        (chance.choice(HEADERS), f"{chance.choice(KEYS)} = {chance.choice(VALUES)}")
    )
    return content[:at] + _bytes(line) + b"\n" + content[at:]


def _header(chance: random.Random, content: bytes) -> bytes:
    return _changed(chance, content, _HEADER, chance.choice(HEADERS))


def _noise(chance: random.Random, content: bytes) -> bytes:
    return chance.choice((chance.randbytes(chance.randint(0, 2_000)), content[:50])) + bytes(
        chance.choices(b"[]{}=\"'\\.,#\n\r\t a1_-+:T\xff\xc3", k=chance.randint(0, 2_000))
    )


_KINDS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "bits flipped": _flip,
    "bytes inserted": _insert,
    "cut": _cut,
    "lines mixed": _lines,
    "values of another kind": _value,
    "values of the same kind": _likely_value,
    "keys changed": _key,
    "tables changed": _header,
    "lines added": _added,
    "noise": _noise,
}


def main(count: int, seed: int) -> dict:
    """Reads so many configurations, and gives some of them to the command.

    Args:
        count: how many.
        seed: of what they are.

    Returns:
        How many were accepted and refused, by kind of damage, and what failed, with the numbers by
        which it is reproduced.
    """
    accepted, refused = Counter[str](), Counter[str]()
    slow = 0
    failures: list[str] = []
    slowest = 0.0
    every = max(count // min(PROCESSES, max(count // 500, 1)), 1)
    processes = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sensor.toml")
        more = Path(folder, "conf.d", "more.toml")
        more.parent.mkdir()
        for number in tqdm(range(count), unit="configurations", disable=not sys.stderr.isatty()):
            name, content = configuration(seed, number)
            # every fourth one is read after one that is right
            path.write_bytes(content if number % 4 else b"[capture]\nworkers = 2\n")
            more.write_bytes(b"" if number % 4 else content)
            began = time.process_time()
            outcome = _judged(path)
            spent = time.process_time() - began
            slowest, slow = max(slowest, spent), slow + (spent > CPU_SECONDS)
            if outcome is True:
                accepted[name] += 1
            elif outcome is False:
                refused[name] += 1
            else:
                failures.append(f"{seed} {number} ({name}): {outcome}")
            if number % every == every - 1:
                processes += 1
                if said := _told_by_the_command(path, outcome):
                    failures.append(f"{seed} {number} ({name}): the command {said}")
    return {
        "configurations": count,
        "accepted": accepted.total(),
        "refused with one line, status 78": refused.total(),
        "accepted / refused, by what was done": "; ".join(
            f"{name} {accepted[name]:,} / {refused[name]:,}" for name in _KINDS
        ),
        "given to the command too": processes,
        "slowest, ms of CPU time": round(slowest * 1_000),
        "slow": slow,
        "failures": failures,
    }


def _judged(path: Path) -> bool | str:
    """Whether it was accepted; a text if something else happened."""
    try:
        settings = read(path)
    except ConfigurationError as error:
        message = str(error)
        good = (
            "\n" not in message and len(message) < LONGEST_MESSAGE and str(path.parent) in message
        )
        return False if good else f"said {message[:LONGEST_MESSAGE]!r}"
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is what is looked for
        return f"raised {type(error).__name__}: {error}"
    again = path.parent / "again" / path.name
    again.parent.mkdir(exist_ok=True)
    again.write_text(effective_text(settings))
    return True if _same(read(again), settings) else "was written out as something else"


def _same(one: Settings, other: Settings) -> bool:
    return replace(one, origins={}, files=()) == replace(other, origins={}, files=())


def _told_by_the_command(path: Path, outcome: object) -> str:
    """What is wrong with how the command ends; empty if nothing is.

    What is accepted may name models, keys or folders that are not there.
    """
    done = sensor_process("config", "check", path)
    said = done.stderr.decode(errors="replace")
    right = done.returncode in ((0, 66, 77, 78) if outcome is True else (78,))
    if done.returncode:
        right = right and said.count("\n") == 1 and said.startswith("multa-sensor: error: ")
    return (
        "" if right and "Traceback" not in said else f"ended with {done.returncode}: {said[:500]}"
    )


if __name__ == "__main__":
    sys.stdout.buffer.write(configuration(int(sys.argv[1]), int(sys.argv[2]))[1])
