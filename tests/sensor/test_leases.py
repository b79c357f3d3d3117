"""Lease files of three servers as these write them, damaged ones, and hostile names."""

import os
import random
import time

import pytest

from sensor.service.devices.leases import FILE_BYTES, LEASES, NAME_LENGTH, Lease, clean, read_leases

NOW = 1_700_000_000.0
MAC = "02:00:5e:00:53:01"

DNSMASQ = f"""\
1700003600 {MAC} 192.168.1.10 camera 01:{MAC}
1699999999 02:00:5e:00:53:02 192.168.1.11 gone *
0 02:00:5E:00:53:03 192.168.1.12 * *
7200 02:00:5e:00:53:04 192.168.1.13 no-clock *
1700003600 06-02:00:5e:00:53:05 192.168.1.14 token-ring *
duid 00:01:00:01:2c:aa:bb:cc:02:00:5e:00:53:ff
1700003600 1234567 2001:db8::0010 phone 00:01:00:01
"""

ISC = """\
# The format of this file is documented in the dhcpd.leases(5) manual page.
authoring-byte-order little-endian;

lease 192.168.1.10 {
  starts 2 2023/11/14 10:00:00;
  ends 2 2023/11/14 23:13:20;
  cltt 2 2023/11/14 10:00:00;
  binding state active;
  next binding state free;
  rewind binding state free;
  hardware ethernet 02:00:5e:00:53:01;
  uid "\\001\\002";
  client-hostname "old-name";
}
lease 192.168.1.10 {
  ends 2 2023/11/14 23:13:20;
  binding state active;
  hardware ethernet 02:00:5e:00:53:01;
  client-hostname "came\\"ra";
}
lease 192.168.1.11 {
  ends 2 2023/11/14 22:13:19;
  binding state active;
  client-hostname "over";
}
lease 192.168.1.12 {
  ends never;
  binding state active;
  client-hostname "for-ever";
}
lease 192.168.1.13 {
  ends epoch 1700000001; # Tue Nov 14 22:13:21 2023
  binding state free;
  client-hostname "freed";
}
lease 192.168.1.14 {
  ends epoch 1700000001; # Tue Nov 14 22:13:21 2023
  binding state active;
  hardware ethernet 02:00:5e:00:53:04;
}
"""

KEA_4 = """\
address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id
192.168.1.10,02:00:5e:00:53:01,01:02,3600,1700003600,1,0,0,old,0,,0
192.168.1.10,02:00:5e:00:53:01,01:02,3600,1700003600,1,0,0,a&#x2cb.lan.,0,,0
192.168.1.11,02:00:5e:00:53:02,,3600,1700003600,1,0,0,declined,1,,0
192.168.1.12,02:00:5e:00:53:03,,3600,1699999999,1,0,0,over,0,,0
192.168.1.13,02:00:5e:00:53:04,,3600,1700003600,1,0,0,released,0,,0
192.168.1.13,02:00:5e:00:53:04,,0,1700003600,1,0,0,released,2,,0
"""

KEA_6 = """\
address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source,pool_id
2001:db8:0::10,00:01,3600,1700003600,1,3000,0,1,128,0,0,phone,02:00:5e:00:53:01,0,,1,0,0
"""


def found(tmp_path, content):
    path = tmp_path / "leases"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    leases = read_leases(str(path), NOW)
    return leases.of, leases.malformed


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (
            DNSMASQ,
            {
                "192.168.1.10": Lease("camera", MAC),
                "192.168.1.12": Lease("", "02:00:5e:00:53:03"),
                "192.168.1.13": Lease("no-clock", "02:00:5e:00:53:04"),
                "192.168.1.14": Lease("token-ring", ""),
                "2001:db8::10": Lease("phone", ""),
            },
        ),
        (
            ISC,
            {
                "192.168.1.10": Lease('came\\"ra', MAC),
                "192.168.1.12": Lease("for-ever", ""),
                "192.168.1.14": Lease("", "02:00:5e:00:53:04"),
            },
        ),
        (KEA_4, {"192.168.1.10": Lease("a,b.lan", MAC)}),
        (KEA_6, {"2001:db8::10": Lease("phone", MAC)}),
        ("", {}),
    ],
    ids=["dnsmasq", "isc", "kea 4", "kea 6", "empty"],
)
def test_active_leases_of_every_server(tmp_path, content, wanted):
    assert found(tmp_path, content) == (wanted, 0)


@pytest.mark.parametrize(
    ("content", "malformed"),
    [
        (f"x {MAC} 192.168.1.9 a *\n1 {MAC}\n0 {MAC} 192.168.1.999 a *\n{DNSMASQ}", 3),
        (f"{ISC}lease 192.168.1.9 {{\n  binding state active;\n", 1),
        (f"{ISC}lease router {{\n  binding state active;\n}}\n", 1),
        (ISC.replace("lease 192.168.1.12", "lease 192.168.1.9 {\nlease 192.168.1.12"), 1),
        (f"{KEA_4}192.168.1.9,too,few\n", 1),
        (f"{KEA_4}192.168.1.9,,,3600,soon,1,0,0,a,0,,0\n", 1),
        (f"{KEA_4}nowhere,,,3600,1700003600,1,0,0,a,0,,0\n", 1),
    ],
)
def test_malformed_leases_are_counted_and_the_others_stay(tmp_path, content, malformed):
    leases, count = found(tmp_path, content)
    assert count == malformed
    assert "192.168.1.10" in leases
    assert "192.168.1.9" not in leases


def test_whatever_a_file_holds_is_bounded_and_raises_nothing(tmp_path):
    generator = random.Random(7)
    for content in (DNSMASQ, ISC, KEA_4, KEA_6):
        for _ in range(150):
            damaged = bytearray(content.encode())
            for _ in range(generator.randrange(1, 30)):
                damaged[generator.randrange(len(damaged))] = generator.randrange(256)
            leases, _ = found(tmp_path, bytes(damaged))
            for lease in leases.values():
                assert lease.name.isprintable()
                assert len(lease.name) <= NAME_LENGTH


def test_the_last_leases_of_a_long_file_are_kept(tmp_path):
    lines = [f"0 {MAC} 10.{k >> 16}.{k >> 8 & 255}.{k & 255} host{k} *\n" for k in range(60_000)]
    content = "".join(lines)
    assert len(content) > 2 * FILE_BYTES
    leases, malformed = found(tmp_path, content)
    assert malformed == 0
    names = [lease.name for lease in leases.values()]
    assert names == [f"host{k}" for k in range(60_000 - LEASES, 60_000)]
    # One line without an end is not held whole.
    assert found(tmp_path, b"0 " + b"x" * (3 * FILE_BYTES))[0] == {}


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        read_leases(str(tmp_path / "pipe"), time.time())
    with pytest.raises(OSError, match=r"folder|directory"):
        read_leases(str(tmp_path), time.time())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("camera", "camera"),
        ("küche", "küche"),
        ("\x1b[2J\x07red", "\\x1b[2J\\x07red"),
        ("a\nb", "a\\nb"),
        ("\u202egnp.exe", "\\u202egnp.exe"),  # shows what follows from right to left
        ("x" * 200, "x" * 64),
        ("\x00" * 64, "\\x00" * 16),
    ],
)
def test_names_can_be_shown(name, shown):
    assert clean(name) == shown
