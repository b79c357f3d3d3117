"""Label files: the format, the matching, and every way to get one wrong."""

import re

import numpy as np
import pytest
from flow_rows import rows

from sensor.errors import LabelError, MissingInputError
from trainer.datasets.labels import MASKED, LabelFile, Labeller, read_labels

TASKS = ("syn_dos", "ssdp_flood")
HEADER = "start,end,src,src_port,dst,dst_port,proto,task,value"


@pytest.fixture
def write(tmp_path):
    def write(*lines, covered="syn_dos,ssdp_flood"):
        path = tmp_path / "labels.csv"
        path.write_text("\n".join([f"# covered: {covered}", HEADER, *lines]) + "\n")
        return path

    return write


def flow(start, source, destination, protocol=6):
    return {
        "start": start,
        "source": source,
        "destination": destination,
        "protocol": protocol,
    }


def apply(path, batch, tasks=TASKS):
    labeller = Labeller(read_labels(path, tasks), tasks)
    labels = labeller.label(batch)
    labeller.finish()
    return labels.tolist()


def test_a_row_labels_the_flows_that_start_in_its_span_and_nothing_else(write):
    path = write("100,200.5,10.0.0.1,*,192.0.2.9,80,tcp,syn_dos,1")
    batch = rows(
        flow(100.0, ("10.0.0.1", 1111), ("192.0.2.9", 80)),
        flow(200.5, ("10.0.0.1", 1112), ("192.0.2.9", 80)),
        flow(99.999999999, ("10.0.0.1", 1113), ("192.0.2.9", 80)),
        flow(200.500001, ("10.0.0.1", 1114), ("192.0.2.9", 80)),
        flow(150, ("10.0.0.2", 1111), ("192.0.2.9", 80)),
        flow(150, ("10.0.0.1", 1111), ("192.0.2.8", 80)),
        flow(150, ("10.0.0.1", 1111), ("192.0.2.9", 81)),
        flow(150, ("10.0.0.1", 1111), ("192.0.2.9", 80), protocol=17),
    )
    assert apply(path, batch) == [[1, 0], [1, 0]] + [[0, 0]] * 6


def test_a_tuple_fits_in_either_direction_but_not_crosswise(write):
    path = write("0,9,10.0.0.1,*,192.0.2.9,80,tcp,syn_dos,1")
    batch = rows(
        flow(1, ("192.0.2.9", 80), ("10.0.0.1", 1111)),
        flow(1, ("10.0.0.1", 80), ("192.0.2.9", 1111)),
    )
    assert apply(path, batch) == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("prefix", "inside", "outside"),
    [
        ("10.1.0.0/20", "10.1.15.255", "10.1.16.0"),
        ("10.1.2.3/32", "10.1.2.3", "10.1.2.2"),
        ("0.0.0.0/0", "255.1.2.3", "2001:db8::1"),
        ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
        ("2001:db8::/65", "2001:db8::7fff:0:0:1", "2001:db8::8000:0:0:1"),
        ("::/0", "2001:db8::1", "10.0.0.1"),
        ("::a00:1", "::10.0.0.1", "10.0.0.1"),
    ],
)
def test_prefixes_of_both_versions(write, prefix, inside, outside):
    path = write(f"0,9,{prefix},*,*,*,*,syn_dos,1")

    def both(address):
        return flow(1, (address, 1), (address, 2))

    assert apply(path, rows(both(inside), both(outside))) == [[1, 0], [0, 0]]


def test_ports_of_the_tuple_and_protocols_by_name_or_number(write):
    path = write("0,9,*,1900,*,*,UDP,ssdp_flood,1", "0,9,*,*,*,*,6,syn_dos,1")
    batch = rows(
        flow(1, ("10.0.0.1", 40000), ("10.0.0.2", 1900), protocol=17),
        flow(1, ("10.0.0.1", 40000), ("10.0.0.2", 1901), protocol=17),
        flow(1, ("10.0.0.1", 40000), ("10.0.0.2", 1900), protocol=6),
    )
    assert apply(path, batch) == [[0, 1], [0, 0], [1, 0]]


def test_a_task_that_is_not_covered_is_unknown_where_nothing_is_said(write):
    path = write("0,9,10.0.0.1,*,*,*,*,ssdp_flood,1", covered="syn_dos")
    batch = rows(
        flow(1, ("10.0.0.1", 1), ("10.0.0.3", 1)), flow(1, ("10.0.0.2", 1), ("10.0.0.3", 1))
    )
    assert apply(path, batch) == [[0, 1], [0, MASKED]]


@pytest.mark.parametrize("certain", [0, 1])
@pytest.mark.parametrize("order", [1, -1])
def test_unknown_masks_but_gives_way_to_a_certain_row(write, certain, order):
    lines = ["0,9,*,*,*,*,*,syn_dos,unknown", f"0,9,10.0.0.1,*,*,*,*,syn_dos,{certain}"][::order]
    batch = rows(
        flow(1, ("10.0.0.1", 1), ("10.0.0.3", 1)), flow(1, ("10.0.0.2", 1), ("10.0.0.3", 1))
    )
    assert apply(write(*lines), batch) == [[certain, 0], [MASKED, 0]]


def test_a_byte_order_mark_as_spreadsheets_write_it_is_no_part_of_the_text(write):
    path = write("0,9,10.0.0.1,*,*,*,*,syn_dos,1")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert apply(path, rows(flow(1, ("10.0.0.1", 1), ("10.0.0.3", 1)))) == [[1, 0]]


def test_what_is_no_csv_is_named_by_its_line(write):
    path = write("0,9,10.0.0.1,*,*,*,*,syn_dos,1", "0" * 200_000)
    with pytest.raises(LabelError, match=r":4: field larger than field limit"):
        read_labels(path, TASKS)


def test_agreeing_rows_may_overlap(write):
    path = write("0,9,10.0.0.1,*,*,*,*,syn_dos,1", "0,5,*,*,*,80,*,syn_dos,1")
    assert apply(path, rows(flow(1, ("10.0.0.1", 7), ("10.0.0.3", 80)))) == [[1, 0]]


@pytest.mark.parametrize("order", [1, -1])
def test_a_contradiction_names_file_both_lines_and_flow(write, order):
    lines = ["0,9,10.0.0.1,*,*,*,*,syn_dos,1", "0,9,*,*,10.0.0.3,80,*,syn_dos,0"][::order]
    path = write("0,9,*,*,*,*,*,ssdp_flood,0", *lines)
    batch = rows(
        flow(1, ("10.0.0.1", 7), ("10.0.0.4", 80)),
        flow(1.25, ("10.0.0.1", 7), ("10.0.0.3", 80)),
        flow(2, ("10.0.0.2", 7), ("10.0.0.3", 80)),
    )
    with pytest.raises(LabelError) as raised:
        apply(path, batch)
    text = str(raised.value)
    assert f"{path}:5:" in text
    assert "line 4" in text
    assert "10.0.0.1:7 - 10.0.0.3:80 at 1.250000000" in text


def test_a_row_that_matches_nothing_is_an_error_after_the_last_batch_only(write):
    path = write("0,9,10.0.0.1,*,*,*,*,syn_dos,1", "0,9,10.0.0.2,*,*,*,*,syn_dos,1")
    labeller = Labeller(read_labels(path, TASKS), TASKS)
    labeller.label(rows(flow(1, ("10.0.0.1", 7), ("10.0.0.3", 80))))
    with pytest.raises(LabelError, match=re.escape(f"{path}:4: matches no flow")):
        labeller.finish()
    labeller.label(rows(flow(1, ("10.0.0.3", 80), ("10.0.0.2", 7))))
    labeller.finish()


def test_comments_and_blank_lines_do_not_shift_line_numbers(write):
    path = write("", "# the flood", "0,9,*,*,*,*,tcp,syn_dos,2")
    with pytest.raises(LabelError, match=re.escape(f"{path}:5: value '2'")):
        read_labels(path, TASKS)


def test_times_keep_nanoseconds(write):
    path = write("1732180000.123456789,1732180000.5,*,*,*,*,*,syn_dos,1")
    (row,) = read_labels(path, TASKS).rows
    assert row.start_ns == 1_732_180_000_123_456_789
    assert row.end_ns == 1_732_180_000_500_000_000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,*,*,*,*,tcp,syn_dos", "has 8 cells"),
        ("x,2,*,*,*,*,tcp,syn_dos,1", "start 'x' is no time"),
        ("1,1e3,*,*,*,*,tcp,syn_dos,1", "end '1e3' is no time"),
        ("1,2.0123456789,*,*,*,*,tcp,syn_dos,1", "is no time"),
        ("-1,2,*,*,*,*,tcp,syn_dos,1", "is no time"),
        ("3,2,*,*,*,*,tcp,syn_dos,1", "ends before it starts"),
        ("1,2,10.0.0.1/24,*,*,*,tcp,syn_dos,1", "host bits"),
        ("1,2,10.0.0/24,*,*,*,tcp,syn_dos,1", "write an address, a prefix or"),
        ("1,2,*,65536,*,*,tcp,syn_dos,1", "port '65536'"),
        ("1,2,*,*,*,http,tcp,syn_dos,1", "port 'http'"),
        ("1,2,*,*,*,*,quic,syn_dos,1", "unknown protocol 'quic'"),
        ("1,2,*,*,*,*,256,syn_dos,1", "unknown protocol '256'"),
        ("1,2,*,*,*,*,tcp,scan,1", "unknown task 'scan'; known are syn_dos, ssdp_flood"),
        ("1,2,*,*,*,*,tcp,syn_dos,yes", "value 'yes'"),
        ("1,2,10.0.0.1,*,::1,*,tcp,syn_dos,1", "mixes IPv4 and IPv6"),
    ],
)
def test_a_malformed_row_names_its_line(write, line, message):
    path = write("0,9,*,*,*,*,*,syn_dos,0", line)
    with pytest.raises(LabelError, match=re.escape(f"{path}:4: ")) as raised:
        read_labels(path, TASKS)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


CLASSES = "syn_dos, traffic_class{music | video|5G-tv}"


def test_classes_are_places_in_the_first_line_s_list_and_the_rest_is_unknown(write):
    path = write(
        "0,9,10.0.0.1,*,*,*,udp,traffic_class,video",
        "0,9,10.0.0.2,*,*,*,udp,traffic_class,5G-tv",
        "0,9,10.0.0.3,*,*,*,udp,traffic_class,music",
        "0,9,10.0.0.3,7,*,*,udp,traffic_class,unknown",
        "0,9,10.0.0.4,*,*,*,udp,traffic_class,unknown",
        covered=CLASSES,
    )
    labels = read_labels(path, TASKS)
    assert labels.covered == ("syn_dos",)
    assert labels.classes == {"traffic_class": ("music", "video", "5G-tv")}
    batch = rows(*(flow(1, (f"10.0.0.{n}", 7), ("10.0.0.9", 443), 17) for n in range(1, 6)))
    found = apply(path, batch, ("traffic_class", "syn_dos"))
    assert found == [[1, 0], [2, 0], [0, 0], [MASKED, 0], [MASKED, 0]]


def test_a_file_with_classes_serves_those_who_ask_for_other_tasks(write):
    path = write("0,9,10.0.0.1,*,*,*,udp,traffic_class,video", covered=CLASSES)
    assert apply(path, rows(flow(1, ("10.0.0.7", 7), ("10.0.0.3", 80)))) == [[0, MASKED]]


def test_two_classes_of_one_flow_are_a_contradiction(write):
    lines = ["0,9,*,*,*,*,*,traffic_class,music", "0,9,10.0.0.1,*,*,*,*,traffic_class,5G-tv"]
    path = write(*lines, covered=CLASSES)
    with pytest.raises(LabelError, match=re.escape(f"{path}:4: gives the flow 10.0.0.1:7")):
        apply(path, rows(flow(1, ("10.0.0.1", 7), ("10.0.0.3", 80))), ("traffic_class", *TASKS))


@pytest.mark.parametrize(
    ("covered", "line", "message"),
    [
        (CLASSES, "traffic_class,1", ":3: value '1' is not one of music, video, 5G-tv, unknown"),
        (CLASSES, "syn_dos,video", ":3: value 'video' is not one of 0, 1, unknown"),
        ("syn_dos", "traffic_class,video", ":3: unknown task 'traffic_class'; known are syn_dos"),
        ("syn_dos{a|b}", "syn_dos,1", ":1: syn_dos has the values 0 and 1; remove its classes"),
        ("x{a}", "x,a", ":1: the classes of x must be 2 to 127 different names"),
        ("x{a|b|a}", "x,a", ":1: the classes of x must be 2 to 127 different names"),
        ("x{a|}", "x,a", "'' is none"),
        ("x{a|unknown}", "x,a", "'unknown' is none"),
        ("x{a|1}", "x,a", "'1' is none"),
        ("{a|b}", "x,a", ":1: '' is no name of a task; write 'name{class|class}'"),
        ("x{a|b", "x,a", ":1: unknown task 'x{a|b'"),
    ],
)
def test_mistakes_about_classes(write, covered, line, message):
    path = write(f"0,9,*,*,*,*,*,{line}", covered=covered)
    with pytest.raises(LabelError) as raised:
        read_labels(path, TASKS)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: the covered tasks are missing"),
        (f"{HEADER}\n", ":1: the covered tasks are missing"),
        ("# covered: syn_dos\n", ":2: wrong header"),
        ("# covered: syn_dos\nstart,end\n", ":2: wrong header"),
        (f"# covered: scan\n{HEADER}\n", ":1: unknown task 'scan'"),
    ],
)
def test_a_file_without_its_first_lines(tmp_path, text, message):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(LabelError, match=re.escape(f"{path}{message}")):
        read_labels(path, TASKS)


def test_a_file_that_is_missing_or_not_text(tmp_path):
    with pytest.raises(MissingInputError, match="No such file"):
        read_labels(tmp_path / "none.csv", TASKS)
    (tmp_path / "binary.csv").write_bytes(b"\xd4\xc3\xb2\xa1\xff")
    with pytest.raises(LabelError, match="not UTF-8"):
        read_labels(tmp_path / "binary.csv", TASKS)


def test_a_benign_capture_is_0_for_every_task(tmp_path):
    labeller = Labeller(LabelFile.benign(tmp_path / "x.pcap", TASKS), TASKS)
    labels = labeller.label(rows(flow(1, ("10.0.0.1", 7), ("10.0.0.3", 80))))
    labeller.finish()
    assert labels.dtype == np.int8
    assert labels.tolist() == [[0, 0]]
