"""Coverage-guided fuzzing of one target with Atheris: ``fuzz.py TARGET [libFuzzer options]``."""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))

with atheris.instrument_imports(include=["sensor", "reference_decode", "reference_link"]):
    import targets


def main() -> None:
    """Fuzzes until libFuzzer's options say stop, or an input fails."""
    target = sys.argv.pop(1)
    path = targets.scratch() / "input"
    run = targets.decoder if target == "decoder" else lambda octets: targets.capture(octets, path)
    atheris.Setup(sys.argv, run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
