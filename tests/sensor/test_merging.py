"""Packets of several sources in order of time, whatever is heard first."""

import random
from dataclasses import fields
from functools import partial

import numpy as np
import pytest
from blocks import headers_of
from traffic import Mixture, random_packets

from sensor.flows.epochs import part_of
from sensor.packets.headers import Headers
from sensor.service.workers.merging import NEVER, PATIENCE_S, PAUSE_S, Merger

FORWARD = Mixture(steps_ns=(1, 1_500, 30_000_000))


def joined(parts):
    return Headers(
        *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Headers))
    )


def times(headers):
    return [] if headers is None else headers.timestamp_ns.tolist()


def at(*times_ns):
    (packet,) = random_packets(1, 1, FORWARD)
    return headers_of([(time_ns, packet[1]) for time_ns in times_ns])


def no_matter():
    pass


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sources", [1, 2, 5])
def test_what_was_shared_out_comes_together_as_it_was(seed, sources):
    draw = random.Random(seed)
    whole = headers_of(random_packets(seed, 3_000, FORWARD))
    owner = np.array([draw.randrange(sources) for _ in range(len(whole))])
    share = [part_of(whole, np.flatnonzero(owner == each)) for each in range(sources)]
    done, ended = [0] * sources, set()
    merger, taken, used = Merger(sources, lambda: 0.0), [], []
    while len(ended) < sources:
        source = draw.choice([each for each in range(sources) if each not in ended])
        stop = min(done[source] + draw.randrange(300), len(share[source]))
        part = part_of(share[source], slice(done[source], stop))
        merger.add(source, part, partial(used.append, len(part)))
        done[source] = stop
        left = stop < len(share[source])
        merger.mark(source, int(share[source].timestamp_ns[stop]) if left else NEVER)
        if not left:
            ended.add(source)
        if draw.random() < 0.7 or len(ended) == sources:
            taken.append(merger.take())
    together = joined([each for each in taken if each is not None])
    for column in fields(Headers):
        assert getattr(together, column.name).tolist() == getattr(whole, column.name).tolist()
    assert sum(used) == len(whole)
    assert not merger.waits


def test_a_packet_waits_for_the_others_marks_and_not_for_its_own():
    merger = Merger(3, lambda: 0.0)
    merger.add(0, at(10, 20, 30), no_matter)
    assert merger.take() is None
    merger.mark(1, 21)
    merger.mark(2, 25)
    assert times(merger.take()) == [10, 20]
    merger.add(1, at(22), no_matter)
    merger.mark(0, 30)
    merger.mark(1, 22)
    assert times(merger.take()) == [22]
    assert merger.waits
    merger.mark(1, 31)
    assert merger.take() is None  # the third might still send 25
    merger.mark(2, NEVER)
    assert times(merger.take()) == [30]
    assert not merger.waits


def test_columns_that_may_change_are_copied_before_that_is_said():
    merger = Merger(1, lambda: 0.0)
    lent = at(10, 20)
    merger.add(0, lent, lambda: lent.timestamp_ns.fill(0))
    assert times(merger.take()) == [10, 20]
    assert lent.timestamp_ns.tolist() == [0, 0]


def test_the_order_of_a_source_stays_where_its_times_do_not_rise():
    merger = Merger(2, lambda: 0.0)
    merger.add(0, at(10, 30, 20), no_matter)
    merger.add(0, at(25, 40), no_matter)
    merger.add(1, at(15, 35), no_matter)
    merger.mark(0, NEVER)
    merger.mark(1, NEVER)
    assert times(merger.take()) == [10, 15, 30, 20, 25, 35, 40]


def test_nothing_waits_for_ever():
    """As behind a clock that was set back, which the other source's marks follow."""
    now = [0.0]
    merger = Merger(2, lambda: now[0])
    merger.add(0, at(10**12), no_matter)
    merger.mark(1, 5)
    assert merger.take() is None
    now[0] = 100.0  # as a process that was stopped, which heard no marks meanwhile
    assert merger.take() is None
    for _ in range(round(PATIENCE_S / PAUSE_S)):
        now[0] += PAUSE_S
        found = merger.take()
    assert times(found) == [10**12]
    merger.add(0, at(7), no_matter)
    assert merger.take() is None
