"""The queue between capturing and detecting: order, bounds, exact counts, failures, liveness."""

import json
import threading
from dataclasses import fields, replace

import frames
import netns
import numpy as np
import pytest
from agreement import Listener
from blocks import blocks_of
from random_frames import random_frames
from test_ends import ends_of
from traffic import Mixture

from sensor.alerts.sinks import EventLog
from sensor.capture.block import CaptureCounters
from sensor.capture.ring import Ring
from sensor.errors import OutputError
from sensor.exchange import Lanes
from sensor.flows.sequences import SequenceBatch
from sensor.flows.table import FlowTable
from sensor.lane import Lane
from sensor.model.schema import FeatureSchema
from sensor.pipeline import Decided
from sensor.service.handover import ROWS, Handover
from sensor.service.lanes import Detecting, build_lanes
from sensor.service.run import Run


def decided(lengths, clock_ns=1, *, finishing=False):
    """Rows with so many packets each."""
    none = SequenceBatch.empty(4)
    columns = {}
    for entry in fields(none):
        column = getattr(none, entry.name)
        columns[entry.name] = np.zeros((len(lengths), *column.shape[1:]), column.dtype)
    columns["length"][:] = lengths
    return Decided(0, SequenceBatch(**columns), clock_ns, 0, finishing=finishing)


def test_ends_of_flows_go_with_the_long_rows_and_count_as_these():
    slow, handover = Slow(), Handover(lambda: True)
    with handover.take_with(slow.take):
        handover.put(decided([1]))
        slow.began.wait(60)
        handover.put(decided([1] * ROWS, 2))
        handover.put(replace(decided([1], 3), ends=ends_of(*[{}] * ROWS)))
        handover.put(replace(decided([], 4), ends=ends_of({}, {})))
        handover.put(replace(decided([3], 5, finishing=True), ends=ends_of({})))
        assert (handover.shed, handover.shed_ends) == (2, 3)
        slow.go.set()
    assert [clock for _, clock in slow.taken] == [1, 2, 3, 5]
    assert slow.ends == [0, 0, ROWS, 0]


class Slow:
    """Takes nothing until it is let go; then remembers what it took."""

    def __init__(self):
        self.taken, self.ends = [], []
        self.began, self.go = threading.Event(), threading.Event()

    def take(self, decided):
        self.began.set()
        self.go.wait(60)
        self.taken.append((decided.batch.length.tolist(), decided.clock_ns))
        self.ends.append(len(decided.ends))


def test_what_is_full_is_shed_where_the_source_is_pressed_short_rows_first():
    slow, handover = Slow(), Handover(lambda: True)
    with handover.take_with(slow.take):
        handover.put(decided([1]))
        slow.began.wait(60)  # it has that one, and the queue is empty
        handover.put(decided([1, 3] * 3_000, 2))  # taken whole, although it is more than fits
        handover.put(decided([1, 2, 3, 16], 3))
        handover.put(decided([3] * 3_000, 4))
        handover.put(decided([3] * 10, 5))  # by now as many long ones as fit are waiting
        handover.put(decided([], 6))
        handover.put(decided([16] * 7, 7, finishing=True))
        assert handover.shed == 2 + 10 + 7
        slow.go.set()
    assert [clock for _, clock in slow.taken] == [1, 2, 3, 4, 7]
    assert slow.taken[1][0] == [1, 3] * 3_000
    assert slow.taken[2][0] == [3, 16]
    assert slow.taken[4][0] == []


def test_a_source_with_room_waits_and_nothing_is_shed():
    taken = []
    handover = Handover(lambda: False)
    with handover.take_with(lambda each: taken.append(each.clock_ns)):
        for clock in range(300):
            handover.put(decided([1] * 100, clock))
    assert taken == list(range(300))
    assert handover.shed == 0


def test_ticks_do_not_fill_the_memory():
    slow, handover = Slow(), Handover(lambda: True)
    with handover.take_with(slow.take):
        for clock in range(5_000):
            handover.put(decided([], clock))
        assert len(handover._queue) <= ROWS / 16 + 1
        slow.go.set()
    assert handover.shed == 0


def test_a_failure_ends_the_capturing_thread_and_is_raised_once():
    def fail(_):
        raise OutputError("the log")

    handover = Handover(lambda: False)

    def work():
        while True:
            handover.put(decided([1] * 1_000))

    with pytest.raises(OutputError, match="the log"), handover.take_with(fail):
        work()


def test_a_failure_with_the_last_rows_is_raised_too():
    def fail(_):
        raise OutputError("the log")

    handover = Handover(lambda: False)
    with pytest.raises(OutputError, match="the log"), handover.take_with(fail):
        handover.put(decided([1]))


def test_an_interruption_leaves_what_waits():
    slow, handover = Slow(), Handover(lambda: False)

    def work():
        handover.put(decided([1]))
        handover.put(decided([1], 2))
        slow.began.wait(60)
        threading.Timer(0.01, slow.go.set).start()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), handover.take_with(slow.take):
        work()
    assert len(slow.taken) == 1
    assert not handover._thread.is_alive()


def test_it_moves_while_something_is_taken_or_nothing_waits():
    slow, handover = Slow(), Handover(lambda: False)
    with handover.take_with(slow.take):
        handover.put(decided([1]))
        slow.began.wait(60)
        handover.is_moving()
        assert not handover.is_moving()  # as it hangs in the first one
        slow.go.set()
        while not handover.is_moving():
            pass


def without_place_and_hour(path):
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for record in found:
        assert record["alert"]["metadata"]["multa"].pop("emitted_at", "live") != ""
        record.pop("host", "")
        record.pop("in_iface", "")
    return found


def test_a_run_with_two_threads_writes_what_a_replay_writes(tmp_path):
    crowd = Mixture(hosts=3, ports=5_000, steps_ns=(1_000_000, 4_000_000), again=0.1)
    packets = random_frames(5, 4_000, crowd)
    logs = []
    for threads in (1, 2):
        path = tmp_path / f"{threads}.json"
        log = EventLog(str(path), strict=True)
        run = Run(CaptureCounters(), build_lanes(Detecting()), log)
        if threads == 1:
            run.over(blocks_of(packets, 500))
        else:
            run.live(
                run.decoded(blocks_of(packets, 50)), "eth0", Handover(lambda: False), log.flush
            )
        log.close()
        counted = run.statistics.document()
        assert counted.pop("seconds") > 0
        logs.append((without_place_and_hour(path), counted))
    assert len(logs[0][0]) > 10
    assert logs[0] == logs[1]


class Stuck(Listener):
    """Looks at nothing until it is let go."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def score(self, batch):
        self.go.wait(60)
        return super().score(batch)


@pytest.mark.network
def test_while_detection_stands_still_rows_are_shed_and_every_one_is_accounted_for():
    sent = [
        frames.tcp_frame("10.1.0.1", 1024 + k % 60_000, f"10.2.0.{k % 7}", 80, frames.RST)
        for k in range(40_000)
    ]
    stuck = Stuck()
    with netns.link() as cable:
        with netns.inside(cable.far):
            ring = Ring(cable.port, blocks=32)
        handover = Handover(lambda: ring.pressed)
        run = Run(
            CaptureCounters(),
            Lanes([Lane(FlowTable(FeatureSchema()), [stuck])]),
            EventLog("-", strict=True),
        )

        def until_shed():
            for block in ring:
                yield block
                if handover.shed:
                    stuck.go.set()
                    ring.stop()

        player = threading.Thread(target=netns.play, args=(cable.near, cable.port, sent, 30_000))
        player.start()
        run.live(run.decoded(until_shed()), "port0", handover, lambda: None)
        player.join()
        ring.close()
    decided = sum(run.statistics.document()["sequences"].values())
    assert handover.shed > 0
    assert decided == ring.counters.packets
    assert sum(map(len, stuck.batches)) == decided - handover.shed
