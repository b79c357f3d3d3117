"""Programs of other people's end by themselves or are ended."""

import time
from pathlib import Path

import pytest

from trainer.lab.programs import run_bounded


def test_the_last_line_is_told_and_the_home_is_the_folder(tmp_path: Path) -> None:
    said = run_bounded(["sh", "-c", "echo one; echo $HOME; echo"], tmp_path, 10)
    assert said == str(tmp_path)


def test_what_takes_too_long_is_ended_even_if_it_does_not_want_to(tmp_path: Path) -> None:
    start = time.monotonic()
    said = run_bounded(["sh", "-c", "trap '' TERM; echo here; sleep 1000"], tmp_path, 0.3)
    assert said == "here"
    assert 0.3 <= time.monotonic() - start < 100


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_bounded(["no-such-program"], tmp_path, 1)
