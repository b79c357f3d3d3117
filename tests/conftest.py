"""What all tests share: the builders' folder on the path, and what the machine can't run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from netns import missing_requirements


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the `network` tests where root or a program is missing, and says which."""
    marked = [item for item in items if item.get_closest_marker("network")]
    if marked and (missing := missing_requirements()):
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))
