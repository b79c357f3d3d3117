"""The units and their companions, judged by systemd's and logrotate's own checkers."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sensor.errors import (
    BundleError,
    CaptureFormatError,
    CaptureUnavailableError,
    ConfigurationError,
    LinkTypeError,
    MissingInputError,
    PermissionDeniedError,
    UsageError,
)

SYSTEMD = Path(__file__).parent.parent / "systemd"
EXPOSURE = {
    "multa-sensor.service": 1.2,
    "multa-tap.service": 1.2,
    "multa-analyser.service": 0.3,
    # It alone may use the network.
    "multa-forward.service": 1.2,
}
"""`systemd-analyze security` rates what a service could still do, from 0 (nothing) to 10."""

units = pytest.mark.parametrize("unit", [SYSTEMD / name for name in EXPOSURE], ids=lambda p: p.stem)


def needs(program: str, package: str) -> pytest.MarkDecorator:
    missing = not shutil.which(program, path="/usr/bin:/usr/sbin:/bin:/sbin")
    return pytest.mark.skipif(missing, reason=f"needs {program} (Debian package {package})")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs("systemd-analyze", "systemd")
def test_units_are_understood(tmp_path: Path) -> None:
    paths = []
    for name in EXPOSURE:
        # The checker insists on programs that exist; here they are not installed.
        text = (SYSTEMD / name).read_text().replace("/opt/multa/bin/multa-sensor", "/bin/true")
        paths.append(tmp_path / name)
        paths[-1].write_text(text)
    done = run("systemd-analyze", "verify", "--man=no", *map(str, paths))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs("systemd-analyze", "systemd")
@units
def test_units_are_hardened(unit: Path) -> None:
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", str(unit))
    rating = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert rating, done.stdout + done.stderr
    assert float(rating[1]) <= EXPOSURE[unit.name]


@units
def test_every_setting_is_explained(unit: Path) -> None:
    """A setting stands under a comment, alone or in a run of settings that share it."""
    explained = False
    for line in unit.read_text().splitlines():
        if line.startswith("#"):
            explained = True
        elif not line:
            explained = False
        elif "=" in line and not line.startswith(("Description=", "Documentation=", "WantedBy=")):
            assert explained, line


def settings(unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (SYSTEMD / unit).read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_only_one_part_has_a_privilege_and_only_one_the_network() -> None:
    for unit, capability in (
        ("multa-sensor.service", "CAP_NET_RAW"),
        ("multa-tap.service", "CAP_NET_RAW"),
        ("multa-analyser.service", ""),
        ("multa-forward.service", ""),
    ):
        kept = settings(unit)
        assert kept["AmbientCapabilities"] == kept["CapabilityBoundingSet"] == [capability]
        (families,) = kept["RestrictAddressFamilies"]
        assert ("AF_INET" in families.split()) == (unit == "multa-forward.service")
        assert ("AF_PACKET" in families.split()) == (capability == "CAP_NET_RAW")


def test_the_two_forms_differ_by_what_the_tap_does() -> None:
    """What one form got and the other did not would be forgotten in it."""
    one, other = settings("multa-sensor.service"), settings("multa-analyser.service")
    assert other["ExecStart"] == [f"{one['ExecStart'][0]} --tap /run/multa-tap/tap.sock"]
    assert one["Conflicts"] == ["multa-analyser.service"]
    assert other["Conflicts"] == ["multa-sensor.service"]
    theirs = {"Description", "Conflicts", "ExecStart", "AmbientCapabilities"}
    theirs |= {"CapabilityBoundingSet", "RestrictAddressFamilies"}
    added = {"Wants", "After", "PrivateNetwork", "PrivateUsers"}
    assert one.keys() - theirs == other.keys() - theirs - added
    assert all(one[name] == other[name] for name in one.keys() - theirs)


def test_what_a_person_must_mend_is_not_tried_again() -> None:
    prevented = set(settings("multa-sensor.service")["RestartPreventExitStatus"][0].split())
    needed = (UsageError, CaptureFormatError, MissingInputError, PermissionDeniedError)
    needed += (ConfigurationError, LinkTypeError, BundleError)
    assert prevented == {str(error.exit_status) for error in needed}
    # An interface, or a tap, may come yet.
    assert str(CaptureUnavailableError.exit_status) not in prevented


@needs("systemd-sysusers", "systemd")
def test_user_and_directories_are_understood(tmp_path: Path) -> None:
    users = SYSTEMD / "multa.sysusers.conf"
    done = run("systemd-sysusers", "--dry-run", f"--root={tmp_path}", str(users))
    assert done.returncode == 0, done.stderr
    for user in ("multa", "multa-tap", "multa-forward"):
        assert f"Creating user '{user}'" in done.stdout + done.stderr
    lines = (SYSTEMD / "multa.tmpfiles.conf").read_text().splitlines()
    assert [line.split()[:3] for line in lines if line and line[0] != "#"] == [
        ["d", "/etc/multa", "0750"],
        ["d", "/etc/multa/conf.d", "0750"],
        ["d", "/var/log/multa", "0750"],
        ["d", "/var/lib/multa", "0750"],
        ["d", "/run/multa", "0750"],
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
