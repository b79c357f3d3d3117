"""Manual pages, completions and scripts of an installation, judged by what reads them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import sensor.cli
import trainer.cli
from sensor.service.config.settings import DEFINITIONS

ROOT = Path(__file__).parent.parent
SCRIPTS = ("systemd/install.sh", "systemd/uninstall.sh", "packaging/deb.sh")
SCRIPTS += ("packaging/postinst", "packaging/prerm", "packaging/postrm")


def needs(program: str, package: str) -> pytest.MarkDecorator:
    missing = not shutil.which(program)
    return pytest.mark.skipif(missing, reason=f"needs {program} (Debian package {package})")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    command = [sys.executable, str(ROOT / "packaging/manual.py"), str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=True, text=True
    )
    assert not done.stdout + done.stderr
    return folder


def shown(page: Path) -> str:
    """What a person sees, on one line."""
    command = ["mandoc", "-Tutf8", "-O", "width=100", str(page)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return " ".join(re.sub(".\b", "", done.stdout).split())


@needs("mandoc", "mandoc")
def test_pages_are_sound(pages: Path) -> None:
    names = sorted(str(path.relative_to(pages)) for path in pages.rglob("*.*"))
    assert names == ["man1/multa-sensor.1", "man1/multa-trainer.1", "man5/sensor.toml.5"]
    for name in names:
        command = ["mandoc", "-Tlint", "-W", "warning", str(pages / name)]
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        assert (done.returncode, done.stdout) == (0, ""), name


@needs("man", "man-db")
def test_pages_are_shown_without_warnings(pages: Path) -> None:
    for page in pages.rglob("*.*"):
        command = ["man", "--warnings", "--encoding=UTF-8", "--local-file", str(page)]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        assert not done.stderr
        assert done.stdout


@needs("mandoc", "mandoc")
@pytest.mark.parametrize("name", ["multa-sensor", "multa-trainer"])
def test_every_command_and_option_is_in_the_manual(pages: Path, name: str) -> None:
    group = {"multa-sensor": sensor.cli, "multa-trainer": trainer.cli}[name].commands
    text = shown(pages / f"man1/{name}.1")

    def look(command: click.Command, path: str) -> None:
        context = click.Context(command, info_name=path)
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                found = command.get_command(context, inner)
                assert found is not None
                look(found, f"{path} {inner}")
            return
        assert path in text
        for parameter in command.params:
            for option in parameter.opts if isinstance(parameter, click.Option) else ():
                assert option in text, f"{path} {option}"

    look(group, name)
    assert "82 A model bundle is corrupt" in text


@needs("mandoc", "mandoc")
def test_every_key_is_in_the_manual(pages: Path) -> None:
    text = shown(pages / "man5/sensor.toml.5")
    for each in DEFINITIONS.values():
        assert f"[{each.table}]" in text
        assert each.name in text
        assert " ".join(each.help.split()) in text


def completed(tmp_path: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words, by the file that is installed."""
    program = tmp_path / "multa-sensor"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sensor.cli "$@"\n')
    program.chmod(0o755)
    text = (ROOT / "packaging/completion.bash").read_text()
    script = text.replace("/opt/multa/bin/multa-sensor", str(program))
    line = " ".join(f"'{word}'" for word in ("multa-sensor", *words))
    script += f"COMP_WORDS=({line}); COMP_CWORD={len(words)}\n"
    script += f'_multa_sensor_completion {program}; printf "%s\\n" "${{COMPREPLY[@]}}"\n'
    # `compopt` works in a real completion alone.
    done = subprocess.run(
        ["bash", "-c", f"compopt() {{ :; }}\n{script}"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    assert not done.stderr
    return done.stdout.split()


@needs("bash", "bash")
def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    assert completed(tmp_path, "re") == ["replay", "report"]
    assert "--fail-on-alert" in completed(tmp_path, "replay", "--f")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_ask_the_program_too(shell: str) -> None:
    text = (ROOT / f"packaging/completion.{shell}").read_text()
    assert f"_MULTA_SENSOR_COMPLETE={shell}_source /opt/multa/bin/multa-sensor" in text


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_understood(script: str) -> None:
    subprocess.run(["sh", "-n", str(ROOT / script)], check=True)


def test_uninstall_names_everything_that_install_puts() -> None:
    """Less configuration, which stays; `make verify TARGET=systemd` tries both."""
    install, uninstall = (
        (ROOT / f"systemd/{name}.sh").read_text() for name in ("install", "uninstall")
    )
    targets = re.findall(r'\$DESTDIR(\$\w+/\S+?)"', install)
    assert len(targets) > 8
    for target in targets:
        if target.startswith("$SYSCONFDIR/multa/"):
            assert target not in uninstall
        else:
            assert f"$DESTDIR{target}" in uninstall, target
