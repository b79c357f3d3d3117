import pytest
from command import ROOT

from sensor.errors import ConfigurationError, MissingInputError, MultaError
from sensor.service.config.configuration import read
from sensor.service.config.configuration_check import findings

MODEL = ROOT / "models" / "iot-gateway"


@pytest.fixture
def configured(tmp_path):
    """Findings about a configuration whose folders are all below one that is there."""

    def check(more="", models=""):
        path = tmp_path / "sensor.toml"
        path.write_text(
            "[alerts]\noutput = 'log/alerts.json'\n[evidence]\ndirectory = 'evidence'\n"
            "[health]\nstatus = 'run/status.json'\nmetrics = ''\n"
            f"[models]\nstore = 'store'\n{models}shadow_log = 'shadow.json'\n{more}\n"
            "[flows]\nlog = 'log/flows.json'\n"
        )
        return list(findings(read(path)))

    return check


def test_everything_that_is_named_is_told(configured, tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "key.pem").write_text("key")
    (tmp_path / "leases").write_text("")
    lines = configured(
        "keys = ['key.pem']\n[network]\nleases = ['leases', 'later']\n"
        "[capture]\ninterfaces = ['lo', 'none0']\ntap = 'tap'\n"
        "[[allow]]\ncomment = 'old'\nexpires = 2001-01-01\nport = 1\n"
        "[[allow]]\ncomment = 'new'\nexpires = 'never'\nport = 1\n"
    )
    assert lines[:6] == [
        f"configuration {tmp_path}/sensor.toml: ok",
        f"model iot-gateway: ok ({MODEL})",
        f"key {tmp_path}/key.pem: ok (can be read)",
        f"leases {tmp_path}/leases: ok (can be read)",
        f"leases {tmp_path}/later: not there yet",
        f"alerts.output {tmp_path}/log/alerts.json: ok (can be written)",
    ]
    told = dict(line.split(": ", 1) for line in lines[6:])
    assert told[f"models.shadow_log {tmp_path}/shadow.json"] == "ok (can be written)"
    assert told[f"flows.log {tmp_path}/log/flows.json"] == "ok (can be written)"
    assert told[f"health.status {tmp_path}/run/status.json"].startswith(
        f"{tmp_path}/run is not there yet"
    )
    assert told["interface lo"].startswith("ok (")
    assert told["interface none0"] == "not here now; a run would not start"
    expired = [line for line in lines if "expired" in line]
    assert len(expired) == 1
    assert expired[0].endswith("has expired, so it matches nothing (old)")
    assert len(lines) == 6 + 6 + 2 + 1


@pytest.mark.parametrize(
    ("models", "more", "error", "says"),
    [
        (
            "active = ['none']\n",
            "",
            MissingInputError,
            "toml:10: models.active: none: no such model",
        ),
        ("active = ['./none']\n", "", MissingInputError, "models.active: .*none: no such folder"),
        ("shadow = ['./none']\n", "", MissingInputError, "models.shadow: .*none: no such folder"),
        ("keys = ['none.pem']\n", "", MissingInputError, "models.keys: .*none.pem: no such file"),
        ("keys = ['.']\n", "", ConfigurationError, "sensor.toml:10: models.keys: .* is no file"),
        ("", "[network]\nleases = ['.']\n", ConfigurationError, "network.leases: .* is no file"),
        ("", "[capture]\ntap = '.'\n", ConfigurationError, "capture.tap: .* is a folder"),
    ],
)
def test_what_is_missing_or_of_the_wrong_kind_ends_it(configured, models, more, error, says):
    with pytest.raises(error, match=says) as caught:
        configured(more, models)
    assert isinstance(caught.value, MultaError)
    assert "\n" not in str(caught.value)


def test_files_where_folders_should_be_are_told(configured, tmp_path):
    (tmp_path / "log").write_text("")
    with pytest.raises(ConfigurationError, match=r"toml:2: alerts\.output: .*log is no folder"):
        configured()
    (tmp_path / "log").unlink()
    (tmp_path / "log" / "alerts.json").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"alerts\.output: .*alerts\.json is a folder"):
        configured()
    (tmp_path / "log" / "alerts.json").rmdir()
    (tmp_path / "evidence").write_text("")
    with pytest.raises(ConfigurationError, match=r"toml:4: evidence\.directory: .* is no folder"):
        configured()


def test_nothing_is_left_behind(configured, tmp_path):
    assert configured()[-1] == "capture.interfaces: names none; a run needs one, here or by -i NAME"
    assert [each.name for each in tmp_path.iterdir()] == ["sensor.toml"]
