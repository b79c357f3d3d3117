from trainer.latency.parts import spans


def test_a_series_is_cut_in_order_of_time() -> None:
    assert {part: list(range(15))[span] for part, span in spans(15).items()} == {
        "train": list(range(9)),
        "validation": [9, 10, 11],
        "test": [12, 13, 14],
    }
    assert [span.stop for span in spans(4).values()] == [2, 3, 4]
