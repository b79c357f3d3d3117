"""Where Snorkel is: in an environment of its own, which `make .venv-snorkel/.complete` makes."""

import os

import pytest
from command import ROOT

ENVIRONMENT = ROOT / ".venv-snorkel"
COMPLETE = ENVIRONMENT / ".complete"


def snorkel_python() -> str:
    """Interpreter of an environment with Snorkel 0.10 and what the sensor needs; else skips."""
    if "MULTA_SNORKEL_PYTHON" in os.environ:
        return os.environ["MULTA_SNORKEL_PYTHON"]
    if not COMPLETE.exists():
        pytest.skip(
            f"needs an environment with Snorkel ({COMPLETE} does not exist; "
            "`make .venv-snorkel/.complete` makes it, or set MULTA_SNORKEL_PYTHON)"
        )
    return str(ENVIRONMENT / "bin/python")
