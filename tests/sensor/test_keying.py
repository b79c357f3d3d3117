"""Who originates a five-tuple flow, by hand; addresses are small numbers."""

import numpy as np
import pytest
from blocks import headers_of
from reference_decode import Packet
from traffic import ACK, FIN, RST, SYN

from sensor.flows.context import ContextWindows
from sensor.flows.keying import FiveTuple
from sensor.flows.state import FLOW, ORIGIN

CLIENT, SERVER = 9, 5


def begun(*packets, context=None):
    """States and origins of flows that each of the packets begins, as one, and the keys."""
    headers = headers_of([(number, packet) for number, packet in enumerate(packets)])
    state, origin = np.zeros(len(packets), FLOW), np.zeros(len(packets), ORIGIN)
    keyed = FiveTuple(context).take(headers, headers.timestamp_ns)
    keyed.begin(np.arange(len(packets)), state, origin)
    columns = {name: origin[name] for name in ORIGIN.names}
    return {**columns, "owner_forward": state["owner_forward"]}, keyed


def tcp(source, source_port, destination, destination_port, flags):
    return Packet(4, 6, source, destination, source_port, destination_port, 40, 0, flags)


@pytest.mark.parametrize("flags", [SYN, ACK, RST, FIN | ACK, 0, SYN | RST])
def test_the_source_of_the_first_packet_originates(flags):
    state, keyed = begun(tcp(CLIENT, 40_000, SERVER, 443, flags))
    assert (state["source_low"], state["source_port"]) == (CLIENT, 40_000)
    assert (state["destination_low"], state["destination_port"]) == (SERVER, 443)
    assert state["owner_forward"] == keyed.forward
    assert state["midstream"] == (flags & SYN == 0)


@pytest.mark.parametrize("flags", [SYN | ACK, SYN | ACK | 0x40])
def test_unless_it_answers_a_syn(flags):
    state, keyed = begun(tcp(SERVER, 443, CLIENT, 40_000, flags))
    assert (state["source_low"], state["source_port"]) == (CLIENT, 40_000)
    assert (state["destination_low"], state["destination_port"]) == (SERVER, 443)
    assert state["owner_forward"] != keyed.forward
    assert not state["midstream"]


def test_an_endpoint_that_answers_itself_still_originates():
    state, keyed = begun(
        tcp(CLIENT, 80, CLIENT, 80, SYN | ACK), tcp(CLIENT, 80, CLIENT, 81, SYN | ACK)
    )
    assert state["source_port"].tolist() == [80, 81]
    assert (state["owner_forward"] == keyed.forward).tolist() == [True, False]


def test_only_tcp_can_be_midstream():
    udp, icmp = Packet(4, 17, 1, 2, 3, 4, 60, 32, 0), Packet(4, 1, 1, 2, 8, 0, 60, 32, 0)
    assert begun(udp, icmp, tcp(1, 2, 3, 4, ACK))[0]["midstream"].tolist() == [False, False, True]


def test_context_is_that_of_the_flows_so_far_and_restarting_forgets_it():
    context = ContextWindows()
    packets = [tcp(CLIENT + k, 1, SERVER, 443, SYN) for k in range(3)]
    for _ in "12":
        state, _ = begun(*packets, context=context)
        assert state["context"][:, 0].tolist() == [0, 1, 2]
        FiveTuple(context).restart()
