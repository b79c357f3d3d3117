"""Options take numbers only: neither `nan`, which lies in every range of click's, nor `inf`."""

import click
import pytest

from trainer.cli.ranges import SEED, FiniteRange


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "NaN", "1e999"])
def test_what_is_no_number_is_refused(text: str) -> None:
    for kind in (FiniteRange(), FiniteRange(0), FiniteRange(0, min_open=True)):
        with pytest.raises(click.BadParameter):
            kind.convert(text, None, None)


def test_numbers_within_the_range_are_taken() -> None:
    assert FiniteRange(3, 3600).convert("3.5", None, None) == 3.5
    with pytest.raises(click.BadParameter, match="not in the range"):
        FiniteRange(3, 3600).convert("2", None, None)


def test_seeds_are_those_that_numpy_takes() -> None:
    assert SEED.convert("4294967295", None, None) == 2**32 - 1
    for text in ("-1", "4294967296", "1.5"):
        with pytest.raises(click.BadParameter):
            SEED.convert(text, None, None)
