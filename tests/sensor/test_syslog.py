"""Syslog messages against the words of RFC 5424, and sockets that really receive them."""

import contextlib
import os
import socket

import pytest
from alert_lines import alert_line
from receivers import Datagrams, Frames
from running import until

from sensor.reporting.alert_log import parse
from sensor.service.forwarding.destination import UnsendableError
from sensor.service.forwarding.syslog import Syslog, local_message, message


def alert(second=0.25, **more):
    return parse(alert_line(second, **more)[:-1])


@pytest.mark.parametrize(("severity", "priority"), [(1, 170), (2, 172), (3, 173), (7, 174)])
def test_a_message_is_of_rfc_5424(severity, priority):
    found = alert(severity=severity)
    found.document["host"] = "gw 17\n"
    # local5 is 21: 21 · 8 + 2, 4, 5 and 6.
    head = f"<{priority}>1 2026-11-21T12:00:00.250000Z gw17 multa-sensor - alert - {{"
    assert message(found).startswith(head.encode())
    assert message(found).endswith(found.line)
    assert len(message(found)) == len(head) - 1 + len(found.line)


def test_without_a_host_the_message_has_this_machines():
    assert message(alert()).split(b" ")[2] == socket.gethostname().encode()


def test_a_local_message_is_of_syslog_3(monkeypatch):
    monkeypatch.setenv("TZ", "UTC-1")
    __import__("time").tzset()
    try:
        found = local_message(alert(86_400 * 10))
    finally:
        monkeypatch.undo()
        __import__("time").tzset()
    assert found.startswith(b"<172>Dec  1 13:00:00 multa-sensor: {")


def sent(destination, *alerts):
    destination.connect()
    for each in alerts:
        destination.send(each)
    return destination


def test_datagrams_over_udp_and_to_a_local_socket(tmp_path):
    for receiver, form in ((Datagrams(), message), (Datagrams(tmp_path / "log"), local_message)):
        destination = sent(Syslog(receiver.url), alert(1), alert(2))
        assert destination.delivered(0) == 2
        assert receiver.take(2) == [form(alert(1)), form(alert(2))]
        destination.close()
        receiver.close()


def test_a_datagram_that_is_too_long_is_refused_and_the_next_one_is_sent():
    receiver = Datagrams()
    destination = sent(Syslog(receiver.url))
    with pytest.raises(UnsendableError, match="more than a datagram"):
        destination.send(alert(comment="x" * 70_000))
    destination.send(alert(3))
    assert destination.delivered(0) == 1
    assert receiver.take(1) == [message(alert(3))]
    destination.close()
    receiver.close()


def test_nobody_at_the_other_end_of_udp_is_no_failure():
    receiver = Datagrams()
    receiver.close()
    destination = sent(Syslog(receiver.url), *[alert(k) for k in range(5)])
    assert destination.delivered(0) == 5
    destination.close()


def test_over_tcp_the_octets_of_each_message_are_counted():
    server = Frames()
    alerts = [alert(k, comment="x" * 300 * k) for k in range(50)]
    destination = sent(Syslog(server.url), *alerts)
    until(lambda: destination.delivered(0.1) == 50, "50 messages to be acknowledged")
    assert server.wait(50) == [message(each) for each in alerts]
    destination.close()
    server.close()


def test_what_the_other_machine_has_not_taken_has_not_arrived():
    """Its window is full, as it does not read."""
    server = socket.create_server(("127.0.0.1", 0))
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    destination = Syslog(f"tcp://127.0.0.1:{server.getsockname()[1]}")
    destination.connect()
    destination._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    connection, _ = server.accept()
    count = 300
    for k in range(count):
        destination.send(alert(k, comment="x" * 1000))
    assert destination.delivered(0.05) < count
    read = b""
    connection.settimeout(0)

    def all_acknowledged():
        nonlocal read
        with contextlib.suppress(BlockingIOError):
            read += connection.recv(1 << 20)
        return destination.delivered(0) == count

    until(all_acknowledged, "the rest to be acknowledged")
    assert read.startswith(b"%d <172>1 " % len(message(alert(0, comment="x" * 1000))))
    for each in (destination, connection, server):
        each.close()


def test_a_connection_that_the_server_closed_is_lost_before_something_is_sent():
    server = Frames()
    destination = sent(Syslog(server.url), alert(1))
    server.wait(1)
    server.close()
    with pytest.raises(OSError, match=r"closed|reset|[Bb]roken"):
        until(lambda: destination.delivered(0.1) < 0, "the end to be noticed")
    with pytest.raises(OSError, match="refused"):
        destination.connect()
    with pytest.raises(OSError, match="not connected"):
        destination.send(alert(2))


@pytest.mark.parametrize("url", ["unix:/nonexistent/log", "udp://host.invalid:514"])
def test_what_is_not_there_can_not_be_connected_to(url):
    destination = Syslog(url)
    with pytest.raises(OSError, match=os.strerror(2) if "unix" in url else None):
        destination.connect()
    destination.close()
