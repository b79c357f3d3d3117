"""Requests of the protocols that are reflected, read by dpkt and by hand; and who answers them."""

import random
import socket

import dpkt
import pytest

from trainer.lab.catalogue import SERVICES
from trainer.lab.reflection_protocols import PROTOCOLS, answer_once, answer_sizes, dns_question


def request(name: str) -> bytes:
    return PROTOCOLS[name].request(random.Random(1))


def test_ports_are_those_of_the_services() -> None:
    for name, protocol in PROTOCOLS.items():
        assert (protocol.port,) == SERVICES[protocol.service][0], name


def test_dns_asks_for_a_large_answer() -> None:
    question = dpkt.dns.DNS(request("dns"))
    assert [asked.name for asked in question.qd] == ["big.lab.example.net"]
    (option,) = question.ar
    assert (option.type, option.cls) == (41, 4096)
    plain = dpkt.dns.DNS(dns_question(random.Random(1), "a.b", 1))
    assert (plain.qd[0].type, len(plain.ar), plain.op) == (1, 0, 0x0100)


def test_ntp_asks_as_a_client() -> None:
    asked = dpkt.ntp.NTP(request("ntp"))
    assert (asked.v, asked.mode) == (4, 3)


def test_snmp_is_whole_ber() -> None:
    """Every element's length leads to the end: a GetBulk (0xa5) of version 2c (1)."""
    message = request("snmp")
    assert (message[0], message[1]) == (0x30, len(message) - 2)
    assert message[2:5] == b"\x02\x01\x01"
    assert message[5:13] == b"\x04\x06public"
    assert (message[13], message[14]) == (0xA5, len(message) - 15)


def test_coap_names_its_path() -> None:
    """RFC 7252 section 3.1: option 11 of 11 bytes, then one more of 4 under the same number."""
    message = request("coap")
    assert message[0] >> 4 == 4
    assert message[8:] == b"\xbb.well-known\x04core"


def test_monlist_is_the_request_of_the_advisory() -> None:
    assert request("monlist").hex() == "1700032a00000000"


@pytest.mark.parametrize("service", ["snmp", "monlist", "wsd", "chargen"])
def test_scripted_servers_answer_with_more(service: str) -> None:
    sizes = answer_sizes(service, random.Random(2))
    assert len(sizes) <= PROTOCOLS[service].answers
    assert max(sizes) <= 1472  # of a datagram in an Ethernet frame
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker,
    ):
        for end in (server, asker):
            end.bind(("127.0.0.1", 0))
            end.settimeout(10)
        asker.sendto(request(service), server.getsockname())
        answer_once(server, service, sizes)
        assert [len(asker.recv(2048)) for _ in sizes] == sizes
        if service == "snmp":
            asker.sendto(
                b"\x30\x28\x02\x01\x01\x04\x06public\xa0" + bytes(28), server.getsockname()
            )
            answer_once(server, service, sizes)
            assert len(asker.recv(2048)) == 50
