import os
import resource
import stat
import sys
import threading
from ipaddress import ip_network
from pathlib import Path

import pytest
from command import ROOT, assert_fails, sensor_command

from sensor.alerts.home import HomeNetworks
from sensor.cli import options
from sensor.cli.options import (
    detection,
    home_networks,
    open_fresh_log,
    open_statistics,
    settings,
)
from sensor.errors import MissingInputError, OutputError, UsageError
from sensor.service.models import model_store


def test_models_given_are_used_in_place_of_configured_ones(tmp_path):
    assert detection([tmp_path])["models.active"] == (str(tmp_path),)
    # without a slash it would be a name of the store
    assert detection([Path("mine")])["models.active"] == ("./mine",)
    assert detection(no_models=True)["models.active"] == ()
    assert set(detection().values()) == {None}
    with pytest.raises(UsageError, match="exclude each other"):
        detection([tmp_path], no_models=True)


def test_shipped_model_is_the_default(monkeypatch, tmp_path):
    monkeypatch.setattr(model_store, "shipped_models", lambda: tmp_path)
    with pytest.raises(MissingInputError, match="no model came with this installation"):
        settings(None, detection())
    (tmp_path / "iot-gateway").mkdir()
    assert settings(None, detection()).models.active == (str(tmp_path / "iot-gateway"),)
    assert settings(None, detection([tmp_path])).models.active == (str(tmp_path),)


def test_without_a_configuration_no_file_is_written_unasked():
    bare = settings(None, {"models.active": ()})
    assert bare.alerts.output == "-"
    assert (bare.evidence.directory, bare.health.status, bare.health.metrics) == (None,) * 3


def test_options_go_before_the_configuration(tmp_path):
    path = tmp_path / "sensor.toml"
    path.write_text(
        '[capture]\ninterfaces = ["eth0"]\nworkers = 4\n[network]\nhome = ["10.0.0.0/8"]\n'
    )
    given = detection(home_net=["fd00::/8"], no_rule=True)
    found = settings(path, {**given, "capture.interfaces": ("eth1",)})
    assert found.capture.interfaces == ("eth1",)
    assert found.capture.workers == 4
    assert found.network.home == (ip_network("fd00::/8"),)
    assert found.models.rule is False
    assert found.origin("capture.interfaces") == "command line"
    assert found.origin("capture.workers") == f"{path}:3"
    assert found.origin("capture.source") == "default"


def test_home_networks_may_be_given_in_any_form():
    assert home_networks([]) == ()
    home = HomeNetworks(home_networks(["10.0.0.0/8,  fd00::/8", "192.168.1.7", "2001:db8::1/128"]))
    inside = [
        (4, 0, 0x0A010203),
        (6, 0xFD12 << 48, 5),
        (4, 0, 0xC0A80107),
        (6, 0x20010DB8 << 32, 1),
    ]
    outside = [
        (4, 0, 0x0B010203),
        (6, 0xFC12 << 48, 5),
        (4, 0, 0xC0A80106),
        (6, 0x20010DB8 << 32, 0),
    ]
    assert [home.holds(address) for address in inside + outside] == [True] * 4 + [False] * 4


@pytest.mark.parametrize(
    "value",
    [
        *("", "10.0.0.0/8,", "any", "!10.1.1.1", "10/8", "300.0.0.0/8", "10.0.0.0/33", "::/129"),
        *("/8", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0.0/255.0.0.0", "10.0.0.0/-1", "10.0.0.0/+8"),
        *("fe80::1%eth0", "fe80::%1/64", "10.0.0.0/\u0668", "10.0.0.0 /8", "example.org"),
    ],
)
def test_home_network_that_is_none_is_told_with_a_remedy(value):
    with pytest.raises(UsageError) as caught:
        home_networks(["10.0.0.0/8", value])
    assert str(caught.value).startswith("--home-net ")
    assert repr(value.split(",")[-1]) in str(caught.value)
    assert "write one like 192.168.0.0/16 or fd00::/8" in str(caught.value)


def test_home_network_with_more_bits_than_its_prefix_is_told_both_meanings():
    with pytest.raises(UsageError, match=r"write 192\.168\.1\.0/24 .* or 192\.168\.1\.9/32 for"):
        home_networks(["192.168.1.9/24"])
    with pytest.raises(UsageError, match=r"write fd00::/8 .* or fd00::1/128 for"):
        home_networks(["fd00::1/8"])


@pytest.mark.parametrize(
    "command", [("replay", ROOT / "tests/captures/demo.pcap"), ("run", "-i", "lo")]
)
def test_home_network_that_is_none_ends_a_command_at_once(capfd, command):
    outcome = sensor_command(capfd, *command, "--home-net", "10.0.0.0/8,192.168.1.9/24")
    assert_fails(outcome, 64, "--home-net 192.168.1.9/24:", "write 192.168.1.0/24")


def test_two_outputs_do_not_share_a_place(tmp_path):
    path = str(tmp_path / "x")
    for place in ("-", path):
        with pytest.raises(UsageError, match="two outputs"):
            open_statistics(place, place)
    assert open_statistics(None, "-") is None
    assert not Path(path).exists()


def test_fresh_log_empties_files_and_nothing_else(tmp_path):
    path = tmp_path / "alerts.json"
    path.write_text("old\n")
    open_fresh_log(str(path)).close()
    assert path.read_text() == ""
    open_fresh_log("/dev/null").close()
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_fresh_log_waits_for_the_reader_of_a_pipe_and_says_so(tmp_path, capfd):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    said = []

    def read():
        # Only then does the other side open the pipe.
        while "waiting for a reader" not in "".join(said):
            said.append(capfd.readouterr().err)
        said.append(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    log = open_fresh_log(str(path))
    log.write(b"line\n")
    log.close()
    reader.join(timeout=60)
    assert said[-1] == "line\n"
    assert f"waiting for a reader of {path}" in "".join(said)


def test_reader_that_is_there_is_not_told_of_an_end(tmp_path, capfd):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = open_fresh_log(str(path))
    with pytest.raises(BlockingIOError):  # a pipe without writers would give b"", the end
        os.read(reader, 10)
    log.close()
    os.close(reader)
    assert capfd.readouterr().err == ""


def test_a_result_is_written_whole_or_not_at_all(tmp_path, capfdbinary):
    page = tmp_path / "page.html"
    options.write_result(str(page), b"old", "the page")
    assert (page.read_bytes(), page.stat().st_mode & 0o777) == (b"old", 0o640)
    link = tmp_path / "link.html"
    link.symlink_to(page)
    options.write_result(str(link), b"new", "the page")
    assert (page.read_bytes(), link.is_symlink()) == (b"new", True)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limit[1]))
    try:
        with pytest.raises(OutputError, match="the page can't be written"):
            options.write_result(str(page), bytes(5_000), "the page")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert page.read_bytes() == b"new"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link.html", "page.html"]
    with pytest.raises(OutputError, match="no space left"):
        options.write_result("/dev/full", bytes(10), "the page")
    with pytest.raises(OutputError, match="no such file"):
        options.write_result(str(tmp_path / "nowhere" / "page.html"), b"", "the page")
    options.write_result("-", b"shown", "the page")
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == b"shown"
