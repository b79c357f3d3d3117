from sensor.service.health.measures import Histogram, Measures


def test_values_stand_at_the_first_bound_that_they_do_not_exceed():
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 1.0, 7.0):
        histogram.add(value)
    assert histogram.document() == {"bounds": [0.1, 1.0], "counts": [2, 2, 1], "sum": 8.65}


def test_delay_of_an_event_is_never_negative():
    measures = Measures()
    measures.count_told(5_000_000_000, 5_300_000_000)
    measures.count_told(9_000_000_000, 5_000_000_000)
    assert (measures.latency.counts[0], sum(measures.latency.counts)) == (1, 2)
    assert measures.latency.total == 0.3
