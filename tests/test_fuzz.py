"""Any bytes at all: the fuzzers' corpus, and Hypothesis's own inputs, keep what is promised."""

from pathlib import Path

import damaged
import pytest
import targets
from hypothesis import given, settings
from hypothesis import strategies as st

FUZZ = Path(__file__).parent / "fuzz"


def corpus(target: str) -> list[Path]:
    return sorted((FUZZ / "corpus" / target).iterdir())


def test_corpus_of_the_decoder() -> None:
    assert len(corpus("decoder")) > 30
    for path in corpus("decoder"):
        targets.decoder(path.read_bytes())


def test_corpus_of_the_readers(tmp_path) -> None:
    assert len(corpus("capture")) > 10
    for path in corpus("capture"):
        targets.capture(path.read_bytes(), tmp_path / "input")


PIECES = st.sampled_from(
    [path.read_bytes()[3:] for path in corpus("decoder")]
    + [bytes.fromhex(start) for start in ("0800", "86dd", "8100", "88a8", "8864", "8847")]
)
"""Whole frames, and ethertypes to put in front of something else."""

FRAME = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda piece, cut, rest: (piece[:cut] + rest)[:255], PIECES, st.integers(0, 90), st.binary()
    ),
    st.builds(
        lambda piece, at, bit: (
            piece[:at] + bytes([(piece[at : at + 1] or b"\0")[0] ^ 1 << bit]) + piece[at + 1 :]
        )[:255],
        PIECES,
        st.integers(0, 60),
        st.integers(0, 7),
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 255), st.lists(st.tuples(st.integers(0, 255), FRAME), min_size=1, max_size=8))
def test_any_frames(link: int, frames: list[tuple[int, bytes]]) -> None:
    body = b"".join(bytes([flags, len(frame)]) + frame for flags, frame in frames)
    targets.decoder(bytes([link]) + body)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(corpus("capture")),
    st.lists(st.tuples(st.integers(0, 4_000), st.binary(max_size=12)), max_size=6),
    st.integers(0, 4_000),
)
def test_any_file(original: Path, patches: list[tuple[int, bytes]], end: int) -> None:
    content = bytearray(original.read_bytes())
    for at, patch in patches:
        content[at : at + len(patch)] = patch
    targets.capture(bytes(content[: max(1, end)]), targets.scratch() / "input")


@pytest.mark.parametrize("seed", range(3))
def test_damaged_frames_by_the_thousand(seed: int) -> None:
    assert damaged.examine(seed) == damaged.BATCH


def test_inputs_hold_frames() -> None:
    frames = targets.frames_of(b"\0" + b"\1\3abc" + b"\x06\2de" + b"\0\5x")
    times = [(frame.time_ns - targets.START_NS) // 1_000_000 for frame in frames]
    assert [frame.octets for frame in frames] == [b"abc", b"de", b"x"]
    assert [frame.stripped_tags for frame in frames] == [1, 0, 0]
    assert [frame.wire_length for frame in frames] == [3, 0, 1]
    assert times == [1, 20_001, 20_002]


@pytest.mark.parametrize("broken", ["refused", "payload_length"])
def test_a_defect_of_the_decoder_fails(monkeypatch, broken) -> None:
    class Defective(targets.Decoder):
        def decode(self, block):
            headers = super().decode(block)
            if broken == "refused":
                self.decoded += 1
            else:
                headers.payload_length[:] = headers.ip_length + 1
            return headers

    monkeypatch.setattr(targets, "Decoder", Defective)
    with pytest.raises(AssertionError):
        targets.decoder((FUZZ / "corpus/decoder/ethernet-tcp").read_bytes())
