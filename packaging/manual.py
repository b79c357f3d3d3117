"""Writes the manual pages, from what commands and the definitions of settings say of themselves.

``python packaging/manual.py FOLDER`` makes ``man1/multa-sensor.1``, ``man1/multa-trainer.1`` and
``man5/sensor.toml.5`` there. It runs in the environment that is installed, where the trainer's
commands may lack what they train with: then there is no page about them.
"""

import importlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

import sensor
import sensor.errors
from sensor.service.config.settings import ALLOW, DEFINITIONS, REQUIRED, Definition

FILES = {
    "/etc/multa/sensor.toml": "The configuration; see sensor.toml(5).",
    "/etc/multa/conf.d/*.toml": "More of it, read after that in order of names.",
    "/var/log/multa/alerts.json": "Alerts, one JSON object a line.",
    "/var/log/multa/flows.json": "What models say of flows, one JSON object a line.",
    "/var/lib/multa/": "Models, evidence of alerts, labels.",
    "/run/multa/": "Status and metrics of the running sensor.",
}

ENVIRONMENT = {
    "NO_COLOR": "If set, no colours are used.",
    "MULTA_TRACEBACK": "If 1, where an unexpected error came from is shown, for a report of it.",
}

TITLES = {
    "multa-sensor": "watch network traffic and raise alerts",
    "multa-trainer": "record, train and export models for multa-sensor",
}


def main(folder: Path) -> None:
    """Writes the pages into a folder that is laid out as man expects it."""
    for section in ("man1", "man5"):
        (folder / section).mkdir(parents=True, exist_ok=True)
    for program, module in (("multa-sensor", "sensor.cli"), ("multa-trainer", "trainer.cli")):
        try:
            page = program_page(program, importlib.import_module(module).commands)
        except ImportError as error:
            print(f"no manual page of {program}: {error}", file=sys.stderr)
            continue
        (folder / "man1" / f"{program}.1").write_text(page)
    (folder / "man5" / "sensor.toml.5").write_text(configuration_page())


def program_page(program: str, group: click.Group) -> str:
    """The page of a program with commands."""
    context = click.Context(group, info_name=program, **group.context_settings)
    lines = [*_head(program, 1), ".SH NAME", f"{_safe(program)} \\- {_safe(TITLES[program])}"]
    lines += [".SH SYNOPSIS", f".B {_safe(program)}", ".I command", "[options]"]
    lines += [".SH DESCRIPTION", *_help(group.help), *_options(group, context)]
    lines.append(".SH COMMANDS")
    for command, inner in _commands(group, context):
        lines += _command(command, inner)
    lines += [".SH EXIT STATUS", *_entries(_statuses())]
    if program == "multa-sensor":
        lines += [".SH FILES", *_entries(FILES)]
    lines += [".SH ENVIRONMENT", *_entries(ENVIRONMENT)]
    others = sorted({"multa-sensor", "multa-trainer"} - {program})
    also = [f"{other}(1)" for other in others] + ["sensor.toml(5)"]
    lines += [".SH SEE ALSO", _safe(", ".join(also))]
    return _text(lines)


def configuration_page() -> str:
    """The page of the configuration file."""
    lines = [*_head("sensor.toml", 5), ".SH NAME"]
    lines.append("sensor.toml \\- configuration of multa\\-sensor")
    lines += [".SH SYNOPSIS", ".nf", "/etc/multa/sensor.toml", "/etc/multa/conf.d/*.toml", ".fi"]
    about = (
        "TOML (https://toml.io). Files of conf.d are read after sensor.toml in the order of their "
        "names, and what they say replaces what was said before. A key that is not known is an "
        "error. `multa-sensor config check` tells whether the files are right, `multa-sensor "
        "config show` what holds and where it was said."
    )
    lines += [".SH DESCRIPTION", _safe(about), ".SH KEYS"]
    tables = dict.fromkeys(each.table for each in DEFINITIONS.values())
    for table in tables:
        lines.append(f".SS [{_safe(table)}]")
        for each in DEFINITIONS.values():
            if each.table == table:
                lines += _definition(each)
    lines += [".SS [[allow]]", "Flows that match all keys of such a table raise no alert."]
    for each in ALLOW.values():
        lines += _definition(each)
    lines += [".SH SEE ALSO", "multa\\-sensor(1)"]
    return _text(lines)


def _definition(each: Definition) -> list[str]:
    about = [each.help]
    if each.default == REQUIRED:
        about.append("Required.")
    elif each.default not in (None, (), {}) and not isinstance(each.default, Mapping):
        about.append(f"Default: {_value(each.default)}.")
    return [".TP", f".B {_safe(each.name)}", _safe(" ".join(about))]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return str(value) if isinstance(value, (int, float)) else f'"{value}"'


def _commands(
    group: click.Group, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)
        else:
            yield command, inner


def _command(command: click.Command, context: click.Context) -> list[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    heading = f".SS {_safe(context.command_path)} {_safe(usage)}"
    return [heading, *_help(command.help), *_options(command, context)]


def _options(command: click.Command, context: click.Context) -> list[str]:
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    return list(_entries(dict(record for record in records if record)))


def _statuses() -> dict[str, str]:
    found = {"0": "It did what was asked."}
    for each in vars(sensor.errors).values():
        if isinstance(each, type) and hasattr(each, "exit_status"):
            found[str(each.exit_status)] = str(each.__doc__)
    return found


def _entries(entries: Mapping[str, str]) -> Iterator[str]:
    for name, text in entries.items():
        yield from (".TP", f".B {_safe(name)}", _safe(text) or "\\&")


def _help(text: str | None) -> Iterator[str]:
    """Paragraphs; those that click is to leave alone, lines of examples for one, are left alone."""
    for number, paragraph in enumerate((text or "").strip().split("\n\n")):
        if number:
            yield ".PP"
        lines = [line.rstrip() for line in paragraph.strip("\n").split("\n")]
        if lines[0].strip() == "\b":
            yield from (".nf", *(_safe(line) or "\\&" for line in lines[1:]), ".fi")
        else:
            yield _safe(" ".join(line.strip() for line in lines))


def _head(name: str, section: int) -> list[str]:
    stamp = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    date = time.strftime("%Y-%m-%d", time.gmtime(stamp))
    return [f'.TH {_safe(name).upper()} {section} {date} "multa {sensor.__version__}"']


def _safe(text: str) -> str:
    """Text as roff takes it: nothing in it is a command, and nothing lies outside ASCII."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    if escaped.startswith((".", "'")):
        escaped = "\\&" + escaped
    return "".join(each if each.isascii() else f"\\[u{ord(each):04X}]" for each in escaped)


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
