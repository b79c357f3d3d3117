"""What all tests share: the builders' folder on the path, and what the machine can't run."""

import signal
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parent / "fuzz"))

from netns import missing_requirements

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
"""Public captures that are not part of the project; tests that use them skip without them."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Gives every test the signals of a new process: what it starts inherits what is ignored here.

    A shell starts what it runs in the background with Ctrl-C ignored, nohup ignores SIGHUP, and so
    does a run of the sensor that has ended in this process (`sensor.service.signals`).
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the `network` tests where root or a program is missing, and says which."""
    marked = [item for item in items if item.get_closest_marker("network")]
    if marked and (missing := missing_requirements()):
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))


@pytest.fixture(scope="session")
def shared_archive(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Unpacks ``../shared/data/NAME.tar.xz`` once, gives its folder; skips where it is absent."""
    unpacked: dict[str, Path] = {}

    def unpack(name: str) -> Path:
        archive = SHARED_DATA / f"{name}.tar.xz"
        if not archive.exists():
            pytest.skip(f"needs {archive}")
        if name not in unpacked:
            unpacked[name] = tmp_path_factory.mktemp(name)
            with tarfile.open(archive) as members:
                members.extractall(unpacked[name], filter="data")
        return unpacked[name]

    return unpack
