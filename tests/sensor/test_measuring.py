import numpy as np
from blocks import block_of
from latency_traffic import SECOND, START, traffic
from reference import Frame

from sensor.flows.epochs import STEP_PACKETS, part_of
from sensor.latency.latency_table import Measured
from sensor.latency.measuring import measure
from sensor.packets.decode import Decoder
from sensor.packets.headers import PROBE_TYPES


def test_a_clock_that_is_set_back_ends_a_stream_and_begins_another():
    """With the 64th packet that is a day older: what follows is as if nothing had been before."""
    sent = traffic(3, 60)
    now, before = (
        Decoder(PROBE_TYPES).decode(block_of([Frame(time - back, octets) for time, octets in sent]))
        for back in (0, 86_400 * SECOND)
    )
    found = np.concatenate(list(measure([(now, 0), (before, 0)], Measured())))
    rest = part_of(before, slice(STEP_PACKETS - 1, None))
    alone = np.concatenate(list(measure([(rest, 0)], Measured())))
    assert found.size > alone.size > 20
    np.testing.assert_array_equal(found[-alone.size :], alone)
    assert (found["decided_ns"][: -alone.size] >= START).all()


def test_silence_tells_too():
    headers = Decoder(PROBE_TYPES).decode(block_of([Frame(*each) for each in traffic(3, 60)]))
    nothing = part_of(headers, slice(0, 0))
    blocks = [(headers, 0), (nothing, int(headers.timestamp_ns.max()) + 4 * SECOND)]
    assert sum(each.size for each in list(measure(blocks, Measured()))) == sum(
        each.size for each in measure(blocks[:1], Measured())
    )
