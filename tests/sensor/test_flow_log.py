"""When a live run opens the flow log."""

from types import SimpleNamespace

import pytest

from sensor.errors import OutputError, UsageError
from sensor.service.config.settings import WITHOUT_A_FILE, Settings
from sensor.service.flow_log import open_flow_log


def lanes(*names):
    """A bundle that does not annotate, and those that do: ``active`` or ``shadow``."""
    annotating = [SimpleNamespace(annotator=each, shadow=each == "shadow") for each in names]
    return SimpleNamespace(watches=(SimpleNamespace(annotator=None, shadow=False), *annotating))


def configured(path):
    return Settings().with_values({"flows.log": path}, {"flows.log": "sensor.toml:3"})


def test_without_a_log_in_the_settings_there_is_none():
    assert open_flow_log(WITHOUT_A_FILE, lanes("active")) is None


def test_it_is_opened_at_once_where_flows_are_annotated_and_else_with_the_first_line(tmp_path):
    path = tmp_path / "flows.json"
    for watches in (lanes(), lanes("shadow")):
        log = open_flow_log(configured(path), watches)
        assert not path.exists()
    log.write(b"{}\n")
    assert path.read_bytes() == b"{}\n"
    log.close()
    path.unlink()
    open_flow_log(configured(path), lanes("active")).close()
    assert path.read_bytes() == b""
    with pytest.raises(OutputError, match=r"flows\.json: flow events can't be opened"):
        open_flow_log(configured(tmp_path / "none/flows.json"), lanes("active"))


def test_who_asks_for_it_on_the_command_line_wants_something_in_it(tmp_path):
    settings = Settings().overridden({"flows.log": tmp_path / "flows.json"})
    open_flow_log(settings, lanes("active")).close()
    with pytest.raises(UsageError, match="--flows: none of the models says of flows"):
        open_flow_log(settings, lanes("shadow"))
