"""What the documentation says is there is there."""

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import sensor.cli
import sensor.errors
import trainer.cli
from sensor import __version__

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("models/*/*.md")])
COMMANDS = {"multa-sensor": sensor.cli.commands, "multa-trainer": trainer.cli.commands}
FENCED = r"(?ms)^```.*?^```"

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def code_blocks(page: Path) -> Iterator[str]:
    """Lines of fenced shell blocks and inline code, continuation lines joined."""
    text = page.read_text()
    for block in re.findall(r"(?ms)^```(?:sh|console|bash)?\n(.*?)^```", text):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(FENCED, "", text))


def context_of(command: click.Command) -> click.Context:
    """As the programs make it: click remembers the first help option of a command."""
    return click.Context(command, help_option_names=["-h", "--help"])


def walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """A command and all below it, with what a person types."""
    yield path, command
    if isinstance(command, click.Group):
        context = context_of(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, f"{path} {name}"
            yield from walk(below, f"{path} {name}")


@by_page
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(FENCED, "", page.read_text())
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


@by_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    for line in code_blocks(page):
        if mentioned := re.match(r"(?:sudo )?make ([a-z][a-z-]*)", line):
            assert mentioned[1] in targets, line


@by_page
def test_commands_and_options_exist(page: Path) -> None:
    for line in code_blocks(page):
        if mentioned := re.match(r"(?:sudo |\$ |\S*/bin/)*(multa-(?:sensor|trainer)) (.*)", line):
            arguments = shlex.split(mentioned[2].split("|")[0].split(" > ")[0], comments=True)
            assert_known(COMMANDS[mentioned[1]], arguments, line)


def assert_known(command: click.Command, arguments: list[str], line: str) -> None:
    """Follows subcommands, then looks options up; placeholders and files are not looked at."""
    while isinstance(command, click.Group) and arguments and arguments[0][:1].islower():
        below = command.get_command(context_of(command), arguments[0])
        assert below is not None, f"{line}: no command {arguments[0]}"
        command, arguments = below, arguments[1:]
    context = context_of(command)
    options = {
        spelling
        for parameter in command.get_params(context)
        for spelling in (*parameter.opts, *parameter.secondary_opts)
    }
    for argument in arguments:
        for option in re.findall(r"^\[?(--?[a-z][a-z-]*)", argument):
            assert option in options, f"{line}: no option {option}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str) -> None:
    for path, command in walk(COMMANDS[name], name):
        assert command.help or command.short_help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{path} {parameter.opts[0]}"


def test_exit_statuses_are_listed() -> None:
    rows = re.findall(
        r"(?m)^\| (\d+) \| `(\w+)` \| (.*?) \|$",
        (ROOT / "docs/exit-status.md").read_text(),
        re.MULTILINE,
    )
    classes = [
        (str(cls.exit_status), name, str(cls.__doc__).splitlines()[0])
        for name, cls in inspect.getmembers(sensor.errors, inspect.isclass)
        if issubclass(cls, sensor.errors.MultaError) and cls is not sensor.errors.MultaError
    ]
    assert rows == sorted(classes)
    assert len({status for status, *_ in rows}) == len(rows)


def test_rules_are_numbered_without_gaps_and_references_to_them_exist() -> None:
    rules = [
        int(number)
        for number in re.findall(r"(?m)^(\d+)\. ", (ROOT / "docs/semantics.md").read_text())
    ]
    assert rules == list(range(1, len(rules) + 1))
    for path in [*ROOT.glob("sensor/**/*.py"), *ROOT.glob("trainer/**/*.py")]:
        for first, last in re.findall(r"semantics\.md` (\d+)(?:[–-](\d+))?", path.read_text()):
            assert int(last or first) <= len(rules), path


def test_changelog_knows_the_version() -> None:
    headings = re.findall(r"(?m)^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text())
    assert headings[0] == "Unreleased"
    assert headings[1:] == [] or __version__ in headings
