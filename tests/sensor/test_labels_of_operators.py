"""Labels that operators give: added and never changed, the last one of an alert counts."""

import json
import stat

import pytest

from sensor.errors import MissingInputError, OutputError
from sensor.reporting.alert_log import Unread
from sensor.reporting.labels import Label, append, current, history

FIRST = Label(
    alert_id="00000000000000a1",
    value=True,
    task="scan",
    author="ann",
    at="2026-11-21T12:00:00.000000+0000",
    comment="",
)
LATER = Label(
    alert_id="00000000000000a1",
    value=False,
    task="scan",
    author="bob",
    at="2026-11-22T12:00:00.000000+0000",
    comment="é\n",
)
OTHER = Label(
    alert_id="00000000000000a2",
    value=True,
    task="syn_dos",
    author="ann",
    at="2026-11-21T13:00:00.000000+0000",
    comment="x",
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels.json"


def test_labels_come_back_and_the_last_of_an_alert_counts(path):
    for label in (FIRST, OTHER, LATER):
        append(path, label)
    unread = Unread()
    assert list(history(path, unread)) == [FIRST, OTHER, LATER]
    assert list(current(path, unread).values()) == [OTHER, LATER]
    assert str(unread) == ""
    assert [json.loads(line)["author"] for line in path.read_text().splitlines()] == [
        "ann",
        "ann",
        "bob",
    ]
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0


@pytest.mark.parametrize(
    "content", [b"{}\n", b'{"timestamp": "2026"}\n', b"\0", b"alert_id,value\n"]
)
def test_a_file_that_holds_something_else_is_left_as_it_is(path, content):
    path.write_bytes(content)
    with pytest.raises(OutputError, match="holds something else than labels"):
        append(path, FIRST)
    assert path.read_bytes() == content


def test_a_label_after_a_torn_line_stands_on_a_line_of_its_own(path):
    path.write_bytes(json.dumps(FIRST.document()).encode()[:40])
    append(path, OTHER)
    unread = Unread()
    assert current(path, unread) == {OTHER.alert_id: OTHER}
    assert (unread.lines, unread.torn) == (1, 0)


@pytest.mark.parametrize(
    "changed",
    [
        {"value": "true"},
        {"value": 1},
        {"alert_id": "../../etc/passwd"},
        {"alert_id": 5},
        {"author": None},
        {"task": ["scan"]},
    ],
)
def test_what_is_no_label_is_left_out(path, changed):
    path.write_text(json.dumps({**FIRST.document(), **changed}) + "\n[1]\n{}\nx\n")
    unread = Unread()
    assert list(history(path, unread)) == []
    assert unread.lines == 4


def test_entries_that_are_added_later_do_not_matter(path):
    path.write_text(json.dumps({**FIRST.document(), "place": "attic"}) + "\n")
    assert list(history(path, Unread())) == [FIRST]


def test_what_can_not_be_read_or_written_is_told(path, tmp_path):
    with pytest.raises(MissingInputError, match="no labels yet"):
        current(path, Unread())
    with pytest.raises(OutputError, match="can't be written"):
        append(tmp_path / "no" / "labels.json", FIRST)
    with pytest.raises(OutputError, match=r"no space left|in part only"):
        append(full_device(tmp_path), FIRST)


def full_device(tmp_path):
    """A name under which every write fails as on a full disk."""
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    return link
