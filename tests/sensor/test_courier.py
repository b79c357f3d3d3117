"""Carrying lines to a destination that comes and goes: each arrives, and none is forgotten."""

import os

import pytest
from alert_lines import alert_line
from running import until

from sensor.errors import PermissionDeniedError
from sensor.reporting.alert_log import Unread
from sensor.service.forwarding import courier as module
from sensor.service.forwarding.courier import Courier
from sensor.service.forwarding.destination import WINDOW, UnsendableError


def line(number):
    return alert_line(number, alert_id=f"{number:016x}")


class Shelf:
    """A destination in memory, as the protocol in `destination` describes it."""

    name = "shelf"
    address = "shelf://"

    def __init__(self):
        self.reachable = self.answers = True
        self.fails_at = self.refuses = None
        self.messages = []
        self.connections = self.closed = 0
        self._before = 0

    def connect(self):
        if not self.reachable:
            raise ConnectionRefusedError(111, "Connection refused")
        self.connections += 1
        self._before = len(self.messages)

    def send(self, alert):
        number = int(alert.alert_id, 16)
        if number == self.refuses:
            raise UnsendableError("is too long")
        if number == self.fails_at:
            self.fails_at = None
            raise ConnectionResetError(104, "Connection reset")
        self.messages.append(number)

    def delivered(self, _wait_s):
        return len(self.messages) - self._before if self.answers else 0

    def close(self):
        self.closed += 1


@pytest.fixture
def log(tmp_path):
    return tmp_path / "alerts.json"


@pytest.fixture
def shelf():
    return Shelf()


class Office:
    """Couriers, one after the other, that go on where the one before ended."""

    def __init__(self, log, shelf):
        self.log, self.shelf, self.said, self.places = log, shelf, [], []

    def begin(self):
        self.courier = Courier(self.shelf, str(self.log), self.places, self.said.append, 0.01)
        self.courier.start()
        return self.courier

    def end(self):
        self.courier.stop()
        self.courier.join()
        self.places = self.courier.places

    def write(self, *numbers):
        with self.log.open("ab") as file:
            file.write(b"".join(line(number) for number in numbers))


@pytest.fixture
def office(log, shelf):
    office = Office(log, shelf)
    yield office
    office.courier.stop()
    office.courier.join()


def test_alerts_arrive_in_order_and_once_over_several_processes(office, log, shelf, tmp_path):
    office.write(*range(3))
    office.begin()
    until(lambda: office.courier.sent == 3, "3 alerts")
    office.end()
    office.write(3, 4)
    log.rename(tmp_path / "alerts.json.1")
    office.write(5)
    office.begin()
    until(lambda: office.courier.sent == 3, "3 more")
    office.write(*range(6, 300))
    until(lambda: office.courier.sent == 297, "all")
    office.end()
    assert shelf.messages == list(range(300))
    assert office.said == ["shelf://: alerts are sent"] * 2
    assert shelf.connections == shelf.closed == 2


def test_a_log_that_is_not_there_is_waited_for(office):
    office.begin()
    until(lambda: office.courier.connected, "a connection")
    office.write(1)
    until(lambda: office.courier.sent == 1, "the alert")


def test_what_is_no_alert_is_left_out_and_never_looked_at_again(office, log, shelf):
    office.write(1)
    with log.open("ab") as file:
        file.write(b'{"other": 1}\n\xff\n')
    office.begin()
    until(lambda: office.courier.left_out == 2, "2 lines")
    until(lambda: office.courier.places and not office.courier.places[0].behind, "the end")
    office.end()
    office.begin()
    office.write(2)
    until(lambda: shelf.messages == [1, 2], "the second alert")
    assert office.courier.left_out == 0


def test_a_destination_that_is_gone_is_told_once_and_tried_again(office, shelf):
    shelf.reachable = False
    office.write(*range(3))
    office.begin()
    until(lambda: shelf.closed > 3, "some attempts")
    assert office.said == [
        f"shelf://: can't be reached (connection refused); alerts wait in {office.log}"
    ]
    assert (office.courier.connected, office.courier.places) == (False, [])
    shelf.reachable = True
    until(lambda: office.courier.sent == 3, "3 alerts")
    assert office.said[1:] == ["shelf://: alerts are sent"]
    assert shelf.messages == [0, 1, 2]


def test_what_was_under_way_on_a_lost_connection_is_sent_again(office, shelf):
    shelf.answers = False
    shelf.fails_at = 5
    office.write(*range(10))
    office.begin()
    until(lambda: len(shelf.messages) == 5 + 10, "both attempts")
    assert shelf.messages == [*range(5), *range(10)]
    assert (office.courier.sent, office.courier.places) == (0, [])
    shelf.answers = True
    until(lambda: office.courier.sent == 10, "all to be acknowledged")


def test_no_more_than_a_window_is_under_way(office, shelf):
    shelf.answers = False
    office.write(*range(3 * WINDOW))
    office.begin()
    until(lambda: len(shelf.messages) == WINDOW, "a window")
    shelf.answers = True
    until(lambda: office.courier.sent == 3 * WINDOW, "the rest")
    assert shelf.messages == list(range(3 * WINDOW))


def test_what_is_not_acknowledged_at_the_end_is_sent_by_the_next_process(
    office, shelf, monkeypatch
):
    monkeypatch.setattr(module, "GOODBYE_S", 0.0)
    shelf.answers = False
    office.write(*range(4))
    office.begin()
    until(lambda: len(shelf.messages) == 4, "4 alerts")
    office.end()
    assert office.places == []
    shelf.answers = True
    office.begin()
    until(lambda: office.courier.sent == 4, "4 alerts")
    assert shelf.messages == [0, 1, 2, 3] * 2


def test_what_can_not_be_sent_is_counted_and_does_not_hold_up_the_rest(office, shelf):
    shelf.refuses = 1
    office.write(0, 1, 2)
    office.begin()
    until(lambda: office.courier.sent == 2, "the others")
    assert (shelf.messages, office.courier.lost) == ([0, 2], 1)
    assert "shelf://: an alert is left out (is too long)" in office.said
    office.end()
    assert not office.places[-1].behind


def test_alerts_whose_file_goes_away_unread_are_counted(office, shelf, log, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    shelf.reachable = False
    office.write(0)
    courier = office.begin()
    until(lambda: shelf.closed > 1, "an attempt")

    def rotate(*numbers):
        """As the sensor does, whose full file replaces the one before."""
        log.rename(f"{log}.old")
        office.write(*numbers)
        seen = log.stat().st_ino
        until(
            lambda: any(
                each[1] == seen and counted.lines == len(numbers)
                for each, counted in list(courier._counted.items())
            ),
            "the new file to be noticed",
        )

    rotate(1, 2, 3)
    rotate(4, 5)
    rotate(6)
    until(lambda: courier.lost == 3, "3 lost alerts")
    shelf.reachable = True
    until(lambda: courier.sent == 4, "the others")
    # The file that was open is read although it has no name any more.
    assert shelf.messages == [0, 4, 5, 6]
    assert any("3 alerts are lost" in text for text in office.said)
    office.write(7)
    log.unlink()
    office.write(8)
    until(lambda: shelf.messages[-1] == 8, "the next file")
    assert courier.lost == 3


def test_a_place_whose_file_is_gone_is_said(office, log):
    office.write(1)
    office.begin()
    until(lambda: office.courier.sent == 1, "the alert")
    office.end()
    log.unlink()
    office.write(2)
    os.utime(log, (4_000_000_000,) * 2)
    office.begin()
    until(lambda: office.courier.sent == 1, "the other alert")
    assert any("is gone; alerts that came after that may be lost" in said for said in office.said)


def test_a_log_that_can_not_be_read_ends_it(office, monkeypatch):
    def refuse(*_args, **_more):
        raise PermissionDeniedError("may not be read")

    monkeypatch.setattr(module, "Follower", refuse)
    courier = office.begin()
    until(lambda: courier.ended, "its end")
    assert isinstance(courier.failure, PermissionDeniedError)
    assert str(Unread()) == ""
