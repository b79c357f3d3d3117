"""What several tests of the sensor share."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def random_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a bundle with random weights, made once; it is not to be written to."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("needs the extra `trainer` (tensorflow) to make a bundle")
    folder = tmp_path_factory.mktemp("bundles") / "random"
    others = [str(folder.parent / name) for name in ("annotating", "latency")]
    subprocess.run(
        [sys.executable, "tests/random_bundle.py", str(folder), *others],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="session")
def annotating_bundle(random_bundle: Path) -> Path:
    """Folder of a bundle with random weights, a binary task and two categorical ones."""
    return random_bundle.parent / "annotating"


@pytest.fixture(scope="session")
def latency_bundle(random_bundle: Path) -> Path:
    """Folder of a bundle with random weights for windows of eight round-trip times."""
    return random_bundle.parent / "latency"
