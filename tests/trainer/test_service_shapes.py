"""The shapes of sessions: bounded, drawn anew for each, and not told apart by one number."""

import random
import statistics
from collections.abc import Callable

import pytest

from trainer.lab.catalogue import ACTIVITIES
from trainer.lab.service_shapes import HABITS, MOST_S, SHAPES, Visit, draw_session

SESSIONS = 60


def drawn(service: str) -> list[Visit]:
    return [
        visit for seed in range(SESSIONS) for visit in draw_session(random.Random(seed), service)
    ]


def volume(visit: Visit) -> int:
    return sum(each.up + each.down for each in visit.exchanges)


def number(visit: Visit) -> int:
    return len(visit.exchanges)


def test_every_service_can_be_named_and_has_habits() -> None:
    assert set(ACTIVITIES["quic_session"].options["service"].words) == set(SHAPES) == set(HABITS)


@pytest.mark.parametrize("service", SHAPES)
def test_sessions_keep_to_bounds_and_differ(service: str) -> None:
    visits = drawn(service)
    assert SESSIONS <= len(visits) <= 2 * SESSIONS
    # A server takes no larger request for an answer, and an idle connection ends after 8 s.
    exchanges = [each for visit in visits for each in visit.exchanges]
    assert max(each.down for each in exchanges) < 5_000_000
    assert max(each.pause_s + each.wait_s for each in exchanges) < 8
    assert min(min(each.up, each.down) for each in exchanges) > 0
    assert min(min(each.pause_s, each.wait_s) for each in exchanges) >= 0
    assert len({volume(visit) for visit in visits}) == len(visits)
    left = [visit for visit in visits if visit.patience_s < MOST_S]
    assert 0 < len(left) < 0.3 * len(visits)


def test_a_seed_repeats_its_session() -> None:
    one, again, other = (draw_session(random.Random(seed), "video") for seed in (1, 1, 2))
    assert one == again != other


@pytest.mark.parametrize("measure", [volume, number])
def test_the_middle_of_every_class_lies_within_every_other(
    measure: Callable[[Visit], float],
) -> None:
    """No volume or number of exchanges belongs to one class alone."""
    found = {service: sorted(map(measure, drawn(service))) for service in SHAPES}
    for service, values in found.items():
        middle = statistics.median(values)
        within = [name for name, other in found.items() if other[0] <= middle <= other[-1]]
        assert set(within) == set(SHAPES), service


def test_what_a_session_sends_is_its_service_s() -> None:
    """Shares of the bytes that go up: most of documents is typed, media is fetched."""
    share = {
        service: statistics.median(
            sum(each.up for each in visit.exchanges) / volume(visit) for visit in drawn(service)
        )
        for service in SHAPES
    }
    assert share["documents"] > share["search"] > share["music"] > share["video"]
    assert share["drive"] > share["video"]


def test_the_generator_is_as_the_published_set_was_recorded_with() -> None:
    """Exchanges and bytes of version 1 of the set `quic`; another generator is another version."""
    found = {
        service: (
            sum(len(visit.exchanges) for visit in drawn(service)),
            sum(map(volume, drawn(service))),
        )
        for service in SHAPES
    }
    assert found == {
        "documents": (3856, 6014521),
        "drive": (2330, 23010581),
        "music": (2045, 7152687),
        "search": (4962, 9959972),
        "video": (4720, 36019374),
    }
