from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from sensor.errors import OutputError
from trainer.latency.pictures import plot_series
from trainer.latency.series import LatencySeries


def drawn(series: LatencySeries, path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """Heights of everything that is drawn, by line, panel after panel."""
    figures = []
    save = Figure.savefig

    def kept(figure: Figure, *arguments: object, **options: object) -> None:
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", kept)
    plot_series(series, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    return [line.get_ydata().tolist() for axis in figures[0].axes for line in axis.lines]


def test_every_measurement_is_drawn_by_its_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = {
        "noise": np.array([0, 1, 0, 0, 1], np.int8),
        "swell": np.array([0, 0, 0, 1, 1], np.int8),
    }
    rtts = np.array([1.0, 9.0, np.nan, 2.0, 8.0])
    series = LatencySeries("lan", np.arange(5, dtype=np.int64), rtts, truth)
    above, *below = drawn(series, tmp_path / "series.png", monkeypatch)
    assert above == [1.0]
    assert below == [[1.0], [2.0, 8.0], [9.0, 8.0], [0.0]]


def test_a_name_is_no_formula(tmp_path: Path) -> None:
    series = LatencySeries(r"$\foo$.csv", np.arange(1, dtype=np.int64), np.ones(1))
    plot_series(series, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    series = LatencySeries("lan", np.arange(1, dtype=np.int64), np.ones(1))
    for name, says in (("none/a.png", "No such file"), ("a.tune", "not supported")):
        with pytest.raises(OutputError, match=f"{says}.*; name a picture"):
            plot_series(series, tmp_path / name)
