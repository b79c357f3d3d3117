"""What is offered behind a word, by click's own completion of the commands."""

import os

from click.shell_completion import ShellComplete

from sensor.cli import commands


def offered(*words: str) -> list[str]:
    *arguments, begun = words
    completion = ShellComplete(commands, {}, "multa-sensor", "_MULTA_SENSOR_COMPLETE")
    return [item.value for item in completion.get_completions(arguments, begun)]


def test_interfaces():
    assert offered("run", "-i", "l") == ["lo"]
    assert offered("check", "--interface", "no-such") == []


def test_alerts_the_newest_first(tmp_path):
    for number, name in enumerate(("0" * 15 + "a", "0" * 15 + "b", "c" * 16)):
        path = tmp_path / f"{name}.json"
        path.write_text("{}")
        os.utime(path, (number, number))
    (tmp_path / "notes.json").write_text("")
    (tmp_path / f".{'d' * 16}.json.new").write_text("")
    here = ("--evidence", str(tmp_path))
    assert offered("explain", *here, "") == ["c" * 16, "0" * 15 + "b", "0" * 15 + "a"]
    assert offered("explain", *here, "0") == ["0" * 15 + "b", "0" * 15 + "a"]
    assert offered("label", *here, "c") == ["c" * 16]


def test_models_of_the_store(tmp_path):
    configuration = tmp_path / "sensor.toml"
    configuration.write_text('[capture]\ninterfaces = ["lo"]\n[models]\nstore = "store"\n')
    (tmp_path / "store/porch/0123456789ab").mkdir(parents=True)
    (tmp_path / "store/porch/current").symlink_to("0123456789ab")
    assert offered("models", "rollback", "--config", str(configuration), "p") == ["porch"]
    assert offered("models", "rollback", "--config", str(configuration), "q") == []


def test_what_is_wrong_offers_nothing(tmp_path, capfd):
    missing = str(tmp_path / "missing")
    assert offered("explain", "--evidence", missing, "") == []
    assert offered("models", "rollback", "--store", missing, "") == []
    (tmp_path / "broken.toml").write_text("[")
    broken = str(tmp_path / "broken.toml")
    assert offered("explain", "--config", broken, "") == []
    assert offered("models", "rollback", "--config", broken, "") == []
    assert capfd.readouterr() == ("", "")
