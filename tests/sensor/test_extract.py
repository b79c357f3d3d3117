import frames
import numpy as np
import pytest
from command import START, conversation, flood

from sensor.errors import MissingInputError, TruncatedCaptureError
from sensor.extract import sequences
from sensor.model.schema import FeatureSchema


def test_batches_are_columns(tmp_path):
    path = frames.write_pcap(tmp_path / "x.pcap", *conversation(packets=16))
    (batch,) = sequences([path])
    assert len(batch) == 1
    assert batch.ip_length.shape == (1, 16)
    assert batch.direction.tolist() == [[1, -1] * 8]
    assert batch.flow_start_ns.tolist() == [START]


def test_schema_is_followed(tmp_path):
    path = frames.write_pcap(tmp_path / "x.pcap", *conversation(packets=16))
    batches = list(sequences([path], FeatureSchema(lengths=(2, 3))))
    assert sum(map(len, batches)) == 5  # 16 packets are five threes; the last one is too short
    assert {batch.ip_length.shape[1] for batch in batches} == {3}


def test_rows_are_in_order_over_batches_and_files(tmp_path):
    contents, times = flood(20_000)
    paths = [
        frames.write_pcap(tmp_path / f"{k}.pcap", contents[k::2], times[k::2]) for k in range(2)
    ]
    batches = list(sequences(paths))
    assert len(batches) > 1
    decided = np.concatenate([batch.decided_ns for batch in batches])
    assert decided.size == 20_000
    assert (np.diff(decided) >= 0).all()


def test_truncation_is_raised_after_the_last_batch(tmp_path):
    path = frames.write_pcap(tmp_path / "x.pcap", *flood(5))
    path.write_bytes(path.read_bytes()[:-1])
    batches = sequences([path])
    assert len(next(batches)) == 4
    with pytest.raises(TruncatedCaptureError, match="record 5"):
        next(batches)


def test_several_truncated_files_are_counted(tmp_path):
    paths = []
    for number in range(3):
        paths.append(frames.write_pcap(tmp_path / f"{number}.pcap", *flood(5)))
        paths[-1].write_bytes(paths[-1].read_bytes()[:-1])
    with pytest.raises(TruncatedCaptureError, match="and 2 more files"):
        list(sequences(paths))


def test_missing_file_is_raised_before_the_first_batch(tmp_path):
    with pytest.raises(MissingInputError):
        next(sequences([tmp_path / "none.pcap"]))
