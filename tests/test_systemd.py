"""The unit and its companions, judged by systemd's and logrotate's own checkers."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parent.parent / "systemd"
UNIT = SYSTEMD / "multa-sensor.service"
EXPOSURE = 1.2
"""`systemd-analyze security` rates what a service could still do, from 0 (nothing) to 10."""


def needs(program: str, package: str) -> pytest.MarkDecorator:
    missing = not shutil.which(program, path="/usr/bin:/usr/sbin:/bin:/sbin")
    return pytest.mark.skipif(missing, reason=f"needs {program} (Debian package {package})")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs("systemd-analyze", "systemd")
def test_unit_is_understood(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    # The checker insists on programs that exist; here they are not installed.
    unit.write_text(UNIT.read_text().replace("/opt/multa/bin/multa-sensor", "/bin/true"))
    done = run("systemd-analyze", "verify", "--man=no", str(unit))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs("systemd-analyze", "systemd")
def test_unit_is_hardened() -> None:
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT))
    rating = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert rating, done.stdout + done.stderr
    assert float(rating[1]) <= EXPOSURE


def test_every_setting_is_explained() -> None:
    """A setting stands under a comment, alone or in a run of settings that share it."""
    explained = False
    for line in UNIT.read_text().splitlines():
        if line.startswith("#"):
            explained = True
        elif not line:
            explained = False
        elif "=" in line and not line.startswith(("Description=", "Documentation=", "WantedBy=")):
            assert explained, line


@needs("systemd-sysusers", "systemd")
def test_user_and_directories_are_understood(tmp_path: Path) -> None:
    users = SYSTEMD / "multa.sysusers.conf"
    done = run("systemd-sysusers", "--dry-run", f"--root={tmp_path}", str(users))
    assert done.returncode == 0, done.stderr
    assert re.search(r"Would create user 'multa'|Creating user 'multa'", done.stdout + done.stderr)
    lines = (SYSTEMD / "multa.tmpfiles.conf").read_text().splitlines()
    assert [line.split()[:3] for line in lines if line and line[0] != "#"] == [
        ["d", "/var/log/multa", "0750"],
        ["d", "/var/lib/multa", "0750"],
    ]


@needs("logrotate", "logrotate")
def test_logrotate_snippet_is_understood(tmp_path: Path) -> None:
    log = tmp_path / "alerts.json"
    log.write_text("{}\n")
    snippet = tmp_path / "multa.conf"
    text = (SYSTEMD / "multa.logrotate").read_text()
    # The user does not exist here.
    text = text.replace("su multa multa", f"su {log.owner()} {log.group()}")
    text = text.replace("create 0640 multa multa", "create 0640")
    snippet.write_text(text.replace("/var/log/multa/*.json", str(log)))
    snippet.chmod(0o644)
    state = str(tmp_path / "state")
    path = shutil.which("logrotate", path="/usr/sbin:/usr/bin")
    done = run(str(path), "--debug", "--state", state, str(snippet))
    assert done.returncode == 0
    assert "error" not in done.stderr.lower(), done.stderr
    assert "considering log" in done.stderr
