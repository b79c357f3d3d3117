"""Installs a peer into a folder of its own under the work folder; the system is left as it is.

Python libraries get a virtual environment each. Debian packages are downloaded by name and
unpacked, not installed: no daemon starts, nothing needs root, and nothing has to be removed.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class NotInstalledError(Exception):
    """A peer can't be had here; the message says why."""


@dataclass(frozen=True)
class Place:
    """Where a peer's programs are.

    Attributes:
        version: of the package, for the page.
        python: interpreter of the peer's environment, where it has one.
        environment: variables under which its programs are found and run.
    """

    version: str
    python: str = ""
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Here:
    """What runs in the environment of the benchmark itself."""

    def install(self, _work: Path) -> Place:
        """Nothing to do."""
        return Place(f"Python {platform.python_version()}", sys.executable)


@dataclass(frozen=True)
class Pip:
    """A Python library, with what must be beside it."""

    requirements: tuple[str, ...]

    def install(self, work: Path) -> Place:
        """Makes the environment, unless it is there.

        Raises:
            NotInstalledError: pip found no release for this Python or machine.
        """
        name = re.split("[=<>]", self.requirements[0])[0]
        folder = work / "environments" / name
        python = folder / "bin/python"
        complete = folder / ".complete"
        if not complete.exists() or complete.read_text() != " ".join(self.requirements):
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(folder)])
            pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
            _run([*pip, "--no-input", *self.requirements])
            complete.write_text(" ".join(self.requirements))
        code = f"from importlib.metadata import version; print(version({name!r}))"
        version = _run([str(python), "-c", code]).strip()
        path = f"{python.parent}:{os.environ['PATH']}"
        return Place(f"{name} {version}", str(python), (("PATH", path),))


@dataclass(frozen=True)
class Debian:
    """A program of a Debian package. Where it is installed already, that one is run.

    Attributes:
        program: which is looked for.
        packages: the one that it is from, and others that are wanted beside it.
    """

    program: str
    packages: tuple[str, ...]

    def install(self, work: Path) -> Place:
        """Unpacks the packages and what they need and the system lacks, unless it is there.

        Raises:
            NotInstalledError: this is no Debian-like system, or has no such package.
        """
        package = self.packages[0]
        if shutil.which(self.program):
            return Place(f"{package} {self._installed(package)}".strip())
        folder = work / "debian" / package
        complete = folder / ".complete"
        if not complete.exists():
            if not shutil.which("apt-get"):
                raise NotInstalledError("not installed, and there is no apt-get")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            try:
                self._unpack(folder)
            except NotInstalledError:
                _run(["apt-get", "update", "--quiet=2"])  # package lists may be missing or old
                self._unpack(folder)
            complete.touch()
        [archive] = folder.glob(f"{package}_*.deb")
        version = archive.name.split("_")[1].replace("%3a", ":")
        bins = ":".join(str(folder / "usr" / name) for name in ("sbin", "bin"))
        libraries = ":".join(str(path) for path in sorted(folder.glob("usr/lib/*-linux-*")))
        return Place(
            f"{package} {version}",
            environment=(
                ("PATH", f"{bins}:{os.environ['PATH']}"),
                ("LD_LIBRARY_PATH", libraries),
            ),
        )

    def _unpack(self, folder: Path) -> None:
        plan = _run(["apt-get", "install", "--simulate", "--no-install-recommends", *self.packages])
        needed = {*self.packages, *re.findall(r"(?m)^Inst (\S+)", plan)}
        _run(["apt-get", "download", "--quiet=2", *sorted(needed)], folder)
        for archive in sorted(folder.glob("*.deb")):
            _run(["dpkg-deb", "--extract", str(archive), str(folder)])

    @staticmethod
    def _installed(package: str) -> str:
        try:
            return _run(["dpkg-query", "--show", "--showformat=${Version}", package])
        except NotInstalledError:
            return ""


def _run(command: Sequence[str], folder: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise NotInstalledError(f"there is no {command[0]}") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip() or error.stdout.strip() or "no reason given").splitlines()
        raise NotInstalledError(f"{command[0]}: {said[-1]}") from None
    return done.stdout
