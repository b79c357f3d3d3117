from sensor.service.health.blindness import KEPT, Blindness

NOON = 1_700_000_000 * 10**9
"""2023-11-14 22:13:20"""


def test_an_interval_is_told_while_it_lasts_and_when_it_is_over():
    blindness = Blindness(["eth0", "eth1"], 100.0)
    blindness.look({}, 101.0, NOON)
    assert blindness.intervals(101.0) == []
    blindness.look({"eth1": "is down"}, 102.0, NOON)
    assert blindness.now == {"eth1": "is down"}
    told = {
        "interface": "eth1",
        "from": "2023-11-14T22:13:20.000000+0000",
        "to": None,
        "why": "is down",
        "seconds": 3.0,
    }
    assert blindness.intervals(105.0) == [told]
    blindness.look({}, 107.0, NOON + 5 * 10**9)
    told |= {"to": "2023-11-14T22:13:25.000000+0000", "seconds": 5.0}
    assert blindness.intervals(200.0) == [told]
    assert blindness.now == {}


def test_share_of_time_is_over_all_interfaces():
    blindness = Blindness(["eth0", "eth1"], 0.0)
    blindness.look({"eth0": "is gone"}, 2.0, NOON)
    blindness.look({}, 6.0, NOON)
    blindness.look({"eth0": "is gone"}, 8.0, NOON)
    assert blindness.document(10.0) == {
        "seconds": 10.0,
        "blind_seconds": {"eth0": 6.0, "eth1": 0.0},
        "blind_share": 0.3,
    }


def test_clock_that_is_set_does_not_change_how_long_it_lasted():
    blindness = Blindness(["eth0"], 0.0)
    blindness.look({"eth0": "is down"}, 1.0, NOON)
    year_ns = 365 * 86_400 * 10**9
    blindness.look({}, 4.0, NOON - 10 * year_ns)
    (interval,) = blindness.intervals(4.0)
    assert interval["seconds"] == 3.0
    assert interval["to"] < interval["from"]
    assert blindness.document(10.0)["blind_share"] == 0.3


def test_another_reason_is_another_interval():
    blindness = Blindness(["eth0"], 0.0)
    for second, why in enumerate(("is down", "is down", "is gone")):
        blindness.look({"eth0": why}, second, NOON)
    assert [(each["why"], each["seconds"]) for each in blindness.intervals(5.0)] == [
        ("is down", 2.0),
        ("is gone", 3.0),
    ]
    assert blindness.document(5.0)["blind_seconds"] == {"eth0": 5.0}


def test_the_last_hundred_are_kept():
    earlier = [{"interface": "eth0", "from": "", "to": "", "why": "before", "seconds": 1}]
    blindness = Blindness(["eth0"], 0.0, earlier)
    assert blindness.intervals(0.0) == earlier
    for second in range(0, 3 * KEPT, 2):
        blindness.look({"eth0": "is down"}, second, NOON)
        blindness.look({}, second + 1, NOON)
    blindness.look({"eth0": "is gone"}, 500, NOON)
    intervals = blindness.intervals(500)
    assert len(intervals) == KEPT
    assert {each["why"] for each in intervals} == {"is down", "is gone"}
    assert intervals[-1]["to"] is None
    assert len(blindness._past) == KEPT
    assert blindness.document(500)["blind_seconds"] == {"eth0": 150.0}


def test_nothing_has_passed_yet():
    assert Blindness(["eth0"], 5.0).document(5.0)["blind_share"] == 0
