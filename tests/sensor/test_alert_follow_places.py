"""Going on with a log where an earlier follower stopped: nothing twice, nothing left out."""

import gzip
import os
import random

import pytest
from alert_lines import alert_line

from sensor.alerts.sinks import EventLog
from sensor.reporting.alert_follow import Follower
from sensor.reporting.alert_log import Unread


def line(number):
    return alert_line(number, alert_id=f"{number:016x}")


def append(path, *numbers, rest=b"", written_s=None):
    with path.open("ab") as file:
        file.write(b"".join(line(number) for number in numbers) + rest)
    if written_s:
        os.utime(path, (written_s, written_s))


@pytest.fixture
def log(tmp_path):
    return tmp_path / "alerts.json"


KNOWN = {line(number)[:-1]: number for number in range(200)}


def told(log, places=(), count=None):
    """Lines of a new follower, of which no more than `count` are taken; where it is then."""
    follower = Follower(log, Unread(), places=places)
    gap, found = follower.gap, []
    lines = follower.lines()
    while (count is None or len(found) < count) and (text := next(lines, None)):
        found.append(KNOWN[text])
    places = follower.places()
    follower.close()
    return found, places, gap


def test_a_place_is_behind_the_line_that_was_told_last(log):
    append(log, *range(100), rest=line(100)[:50])
    places, found = (), []
    for count in (1, 0, 3, 50):
        some, places, gap = told(log, places, count)
        assert (len(some), gap) == (count, False)
        found += some
    assert [places[0].offset, places[0].behind] == [sum(len(line(k)) for k in range(54)), True]
    with log.open("ab") as file:
        file.write(line(100)[50:])
    assert found + told(log, places)[0] == list(range(101))


def test_it_goes_on_in_files_that_were_rotated_meanwhile(log, tmp_path):
    append(tmp_path / "alerts.json.9", 150, written_s=3_900_000_000)
    append(log, 1, 2, written_s=4_000_000_000)
    assert told(log)[0] == [1, 2]
    _, places, _ = told(log, count=1)
    append(log, 3, written_s=4_000_000_001)
    log.rename(tmp_path / "alerts.json.2")
    append(tmp_path / "alerts.json.1", 10, 11, 12, written_s=4_000_000_002)
    (tmp_path / "alerts.json.old").write_bytes(b"")
    append(log, 20, 21)
    os.utime(log, (4_000_000_003,) * 2)
    wanted, found = [2, 3, 10, 11, 12, 20, 21], []
    while len(found) < len(wanted):  # stopped after every line
        some, places, gap = told(log, places, 1)
        found += some
        assert not gap
        assert some
    assert found == wanted
    assert told(log, places)[0] == []


def test_where_the_file_is_gone_it_says_so_and_tells_what_is_left(log, tmp_path):
    append(log, 1, 2, written_s=4_000_000_000)
    _, places, _ = told(log)
    log.unlink()
    append(tmp_path / "alerts.json.1", 5, written_s=4_000_000_001)
    append(log, 6, written_s=4_000_000_002)
    found, after, gap = told(log, places)
    assert (found, gap) == ([5, 6], True)
    assert told(log, after)[::2] == ([], False)


@pytest.mark.parametrize(("count", "wanted"), [(2, [7]), (1, [1, 2, 7])])
def test_a_file_that_was_packed_is_told_again_only_if_it_was_not_told_whole(log, count, wanted):
    append(log, 1, 2, written_s=4_000_000_000)
    _, places, _ = told(log, count=count)
    packed = log.with_name("alerts.json.1.gz")
    packed.write_bytes(gzip.compress(log.read_bytes()))
    os.utime(packed, (4_000_000_000,) * 2)
    log.unlink()
    append(log, 7, written_s=4_000_000_002)
    assert told(log, places)[::2] == (wanted, False)


def test_another_file_with_the_number_of_the_old_one_is_told_from_its_beginning(log):
    append(log, 1, 2)
    _, places, _ = told(log)
    log.write_bytes(line(3) + line(4) + line(5))
    assert told(log, places)[::2] == ([3, 4, 5], True)
    log.write_bytes(b"")
    assert told(log, places)[::2] == ([], True)


def test_files_that_are_still_to_come_are_named(log, tmp_path):
    append(tmp_path / "alerts.json.5", 90, written_s=3_900_000_000)
    append(log, 1, 2, written_s=4_000_000_000)
    follower = Follower(log, Unread())
    assert len(list(follower.lines())) == 2
    assert follower.to_come() == {}
    names = [tmp_path / f"alerts.json.{k}" for k in (3, 2, 1)]
    for k, name in enumerate(names):
        log.rename(name)
        append(log, 10 + k, written_s=4_000_000_001 + k)
    assert list(follower.to_come().values()) == [*names[1:], log]
    assert len(list(follower.lines())) == 3
    assert follower.to_come() == {}
    follower.close()


def test_whatever_happens_between_every_line_comes_once(log, tmp_path):
    """A sensor's own log that rotates, and followers that stop anywhere."""
    generator = random.Random(11)
    for trial in range(20):
        for path in tmp_path.iterdir():
            path.unlink()
        writer = EventLog(str(log), strict=True)
        written, (found, places, _) = 0, told(log)
        for _ in range(30):
            for _ in range(generator.randrange(4)):
                writer.write(line(written))
                written += 1
            if generator.random() < 0.3:
                log.rename(tmp_path / f"alerts.json.{generator.randrange(10**6):06}")
                writer.write(line(written))
                written += 1
            some, places, gap = told(log, places, generator.choice([None, 1, 2]))
            found += some
            assert not gap
        found += told(log, places)[0]
        writer.close()
        assert found == list(range(written)), trial
