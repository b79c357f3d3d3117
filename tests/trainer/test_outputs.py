from pathlib import Path

import pytest

from sensor.errors import UsageError
from trainer.cli.outputs import keep_apart


def test_an_input_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").touch()
    Path("other").touch()
    Path("link").symlink_to("in")
    for out in (Path("in"), tmp_path / "in", Path("link")):
        with pytest.raises(UsageError, match="is an input; name another one"):
            keep_apart(out, [Path("other"), Path("in")])
    for name in ("other", "new"):
        keep_apart(Path(name), [Path("in"), Path("none")])
