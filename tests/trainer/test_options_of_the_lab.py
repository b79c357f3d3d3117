"""Options: their kinds, and those that came later."""

from pathlib import Path

from trainer.lab.options import count, every, number, word
from trainer.lab.scenario import Fixed, read_scenario


def test_kinds_and_scales() -> None:
    assert (number(1, 2, (1, 2), "").kind, number(1, 2, (1, 2), "").logarithmic) == ("number", True)
    assert (count(1, 2, (1, 2), "").kind, count(1, 2, (1, 2), "").logarithmic) == ("count", False)
    assert word(("a", "b"), ("a",), "").words == ("a", "b")
    assert every((1, 2)).low == 0.05


def test_an_option_that_came_later_is_not_drawn_where_it_is_not_named(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    text = '[[hosts]]\nname = "a"\nstacks = "linux"\nservices = "web"\n'
    text += '[[benign]]\nactivity = "web"\nfrom = "a"\n'
    path.write_text(text)
    assert read_scenario(str(path)).benign[0].settings["ip"] == Fixed("4")
    path.write_text(text + 'ip = ["4", "6"]\n')
    assert read_scenario(str(path)).benign[0].settings["ip"] != Fixed("4")
