"""Damaged captures: one clear error or the packets before the damage, and every packet counted."""

from pathlib import Path

import mutations
import pytest

SLICE = 1_000


@pytest.mark.parametrize("start", range(0, SLICE, 250))
def test_mutants_of_own_captures(start: int) -> None:
    records = mutations.run(range(start, start + 250), (Path(__file__).parent / "captures",))
    assert [record for record in records if record[3].failure] == []
    endings = {record[3].ending for record in records}
    assert {"whole", "cut"} <= endings, "the slice must reach packets"
    assert sum(record[3].packets for record in records) > 1_000


def test_captures_that_were_made_to_break_parsers(shared_archive) -> None:
    captures = mutations.originals(shared_archive("robustness"))
    assert [name for name in map(mutations.examine_original, captures) if name] == []
    records = mutations.run(range(10_000, 10_500), (shared_archive("robustness"),))
    assert [record for record in records if record[3].failure] == []


def test_a_mutant_is_decided_by_its_number() -> None:
    captures = mutations.originals()
    for number in range(40):
        assert mutations.mutant(captures, number) == mutations.mutant(captures, number)


def test_pieces_are_the_records() -> None:
    original = dict(mutations.originals())
    for name, records in (("pcap-d4c3b2a1", 14), ("pcapng-<", 17), ("pcapng->", 17)):
        pieces = mutations._pieces(original[name])
        assert len(pieces) == records + (name == "pcap-d4c3b2a1")
        assert b"".join(pieces) == original[name]


def test_an_exception_is_a_failure(monkeypatch, tmp_path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(dict(mutations.originals())["pcap-d4c3b2a1"])
    assert mutations.examine(path).failure == ""
    broken = mutations.examine(path)._replace(decoded=1)
    assert broken.failure.startswith("14 packets, 1 decoded")
    monkeypatch.setattr(mutations, "Extraction", lambda *_: 1 / 0)
    assert "ZeroDivisionError" in mutations.examine(path).failure
