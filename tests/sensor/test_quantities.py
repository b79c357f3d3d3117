from sensor.quantities import duration, number


def test_durations_and_numbers():
    seconds = [0, 9.94, 59.4, 59.6, 3599, 3600, 90_061]
    assert [duration(s) for s in seconds] == [
        "0.0 s",
        "9.9 s",
        "59 s",
        "1 min 0 s",
        "59 min 59 s",
        "1 h 0 min",
        "1 d 1 h",
    ]
    assert [number(1, "flow"), number(1234, "flow")] == ["1 flow", "1,234 flows"]
