import contextlib
import os
import signal
import socket

import pytest

from sensor.service.notify import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A socket as systemd makes it, with what it puts into the environment."""
    name = f"\0multa-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name)
        receiver.settimeout(0)
        yield receiver, name.replace("\0", "@")


def heard(receiver):
    messages = []
    with contextlib.suppress(BlockingIOError):
        while True:
            messages.append(receiver.recv(100).decode())
    return messages


def test_ready_and_stopping(manager):
    receiver, name = manager
    service = ServiceManager({"NOTIFY_SOCKET": name})
    service.ready()
    service.alive()  # nobody asked for a watchdog
    service.stopping()
    assert heard(receiver) == ["READY=1", "STOPPING=1"]


def test_watchdog_is_pinged_once_in_half_its_time(manager):
    receiver, name = manager
    hour = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": str(3_600_000_000)}
    service = ServiceManager(hour)
    for _ in range(10):
        service.alive()
    assert heard(receiver) == ["WATCHDOG=1"]


@pytest.mark.parametrize("meant", [True, False])
def test_watchdog_of_another_process_is_not_ours(manager, meant):
    receiver, name = manager
    pid = os.getpid() if meant else os.getppid()
    given = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(pid)}
    ServiceManager(given).alive()
    assert heard(receiver) == (["WATCHDOG=1"] if meant else [])


def test_without_a_manager_nothing_happens(tmp_path):
    for given in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}):
        service = ServiceManager(given)
        service.ready()
        service.alive()
        service.stopping()


def test_a_manager_that_stands_still_is_waited_for_once(tmp_path, monkeypatch):
    """No frames are read meanwhile; systemd reads, a script with a socket may not."""

    def hang(*_):
        raise AssertionError("it waits")

    name = str(tmp_path / "notify")
    given = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1"}
    monkeypatch.setattr("sensor.service.notify.PATIENCE_S", 0.1)
    before = signal.signal(signal.SIGALRM, hang)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name)
        receiver.settimeout(0)
        service = ServiceManager(given)
        signal.alarm(20)
        try:
            for _ in range(1_000):
                service.alive()
            for _ in range(1_000):
                service.stopping()
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        assert 1 <= len(heard(receiver)) < 1_000
        service.ready()
        assert heard(receiver) == ["READY=1"]
