"""The catalogue of public captures: read strictly, whole, and true to what the captures hold."""

import re
import tarfile

import pytest
from frames import SYN, tcp_frame, write_pcap
from real_captures import DATA
from toy_recordings import toy_recording

from sensor.errors import ConfigurationError, LabelError, MissingInputError
from trainer.cli import main
from trainer.datasets.dataset import load
from trainer.datasets.sources import captures, groups, read_sources, recordings
from trainer.tasks import KNOWN, PLAYED

ARCHIVE = """
[[archives]]
name = "a"
origin = "there"
licence = "MIT"
"""
SOURCE = """
[[archives.sources]]
about = "x"
files = ["a/*.pcap"]
group = "g-{folder}-{stem}"
role = "train"
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "catalogue.toml"
        path.write_text(text)
        return read_sources(path)

    return read


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data/a").mkdir(parents=True)
    for name in ("one.pcap", "two.pcap", "two.pcapng"):
        write_pcap(tmp_path / "data/a" / name, [tcp_frame("1.2.3.4", 5, "1.2.3.5", 6, SYN)])
    return tmp_path / "data"


def test_captures_have_names_and_groups_of_their_own(read, folder):
    found = captures(
        read(ARCHIVE + SOURCE + SOURCE.replace("*.pcap", "*.pcapng").replace("train", "reported")),
        folder,
    )
    assert groups(found) == {"a-one": "g-a-one", "a-two": "g-a-two", "a-two-pcapng": "g-a-two"}
    assert [capture.source.role for capture in found] == ["train", "train", "reported"]


def test_excluded_captures_are_left_out(read, folder):
    text = ARCHIVE + SOURCE + 'exclude = ["a/two*"]\n'
    assert list(groups(captures(read(text), folder))) == ["a-one"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("archives = 3", r"write \[\[archives\]\]"),
        ("[[archives", "Expected"),
        ("[[archives]]\nname = 'a'", r"archives\[0\]: licence, origin, sources is missing"),
        (ARCHIVE + SOURCE.replace("about", "abuot"), r"sources\[0\]: about is missing"),
        (ARCHIVE + SOURCE + "colour = 3", r"sources\[0\].colour is unknown"),
        (ARCHIVE + SOURCE.replace("train", "teach"), "role is not one of train, left-out, rep"),
        (ARCHIVE + SOURCE.replace('"x"', "3"), "about is no text"),
        (ARCHIVE + SOURCE + 'labels = "1"', "labels is no list of texts"),
        (ARCHIVE + SOURCE + "benign = 1", "benign is neither true nor false"),
        (ARCHIVE + SOURCE + 'unknown = ["sin"]', "unknown: sin is not one of syn_dos"),
    ],
)
def test_a_malformed_catalogue_is_one_line_that_names_file_and_entry(read, text, message):
    with pytest.raises(ConfigurationError, match=message) as raised:
        read(text)
    assert "catalogue.toml" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_not_there_is_named_with_its_archive(read, folder):
    with pytest.raises(MissingInputError, match=r"holds no b/x.pcap; unpack a.tar.xz .* there"):
        captures(read(ARCHIVE + SOURCE.replace("a/*", "b/x")), folder)
    with pytest.raises(MissingInputError, match=r"nothing\.toml"):
        read_sources(folder / "nothing.toml")


def test_a_capture_that_is_named_twice_is_refused(read, folder):
    with pytest.raises(ConfigurationError, match=r"one.pcap is named twice"):
        captures(read(ARCHIVE + SOURCE + SOURCE), folder)


def test_labels_are_those_of_the_catalogue_and_checked_before_anything_is_extracted(
    read, folder, tmp_path
):
    text = ARCHIVE + SOURCE + 'labels = ["*,*,*,*,tcp,syn_dos,1"]\nunknown = ["scan"]\n'
    each = recordings(captures(read(text), folder), tmp_path / "labels")
    content = each[0].labels.read_text()
    assert content.startswith("# covered: syn_dos,ssdp_flood,ssl_renegotiation,udp_reflection,b")
    assert "\n0,9999999999,*,*,*,*,tcp,syn_dos,1\n" in content
    with pytest.raises(LabelError, match="unknown protocol 'tpc'"):
        recordings(captures(read(text.replace("tcp", "tpc")), folder), tmp_path / "labels")


def test_the_command_makes_the_dataset_and_goes_on_where_it_stopped(tmp_path, capsys):
    toy_recording(tmp_path / "data/a/first", 1)
    catalogue = tmp_path / "catalogue.toml"
    text = ARCHIVE + SOURCE.replace("a/*", "a/*/*")
    catalogue.write_text(text + 'labels = ["*,*,10.0.0.80,*,tcp,syn_dos,1"]\n')
    arguments = ["sources", "--data", str(tmp_path / "data"), "--catalogue", str(catalogue)]
    main(arguments)
    assert re.search(r"1\s+g-first-capture\s+train\s+MIT\s+x", capsys.readouterr().out)
    arguments += ["--out", str(tmp_path / "ds"), "--jobs", "1"]
    main(arguments)
    capsys.readouterr()
    dataset = load([tmp_path / "ds"])
    assert dataset.tasks == KNOWN
    flooded = dataset.batch.destination_low == (0x0A000050)
    assert flooded.any()
    assert ((dataset.labels[:, 0] == 1) == flooded).all()
    assert (dataset.labels[:, 1:] == 0).all()
    main(arguments)
    assert "a-first-capture: unchanged" in capsys.readouterr().err


def test_the_shipped_catalogue_names_every_capture_of_the_archives_or_says_why_not(tmp_path):
    sources = read_sources()
    archives = sorted({source.archive for source in sources})
    if not all((DATA / f"{name}.tar.xz").is_file() for name in archives):
        pytest.skip("needs ../shared/data")
    there = set()
    for name in archives:
        with tarfile.open(DATA / f"{name}.tar.xz") as tar:
            for member in tar:
                path = tmp_path / member.name
                if member.isfile() and path.suffix in {".pcap", ".pcapng"}:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.touch()
                    there.add(path)
    found = captures(sources, tmp_path)
    recordings(found, tmp_path / "labels")
    left = {str(path.relative_to(tmp_path)) for path in there - {each.path for each in found}}
    security = {path for path in left if path.startswith("security/")}
    assert security == {
        "security/scans/hs-arpScan.pcap",
        "security/scans/na-arpSpoofing.pcap",
        "security/scans/pkt.TCP.DOMINATE.syn.ecn.cwr.pcapng",
        "security/scans/pkt.TCP.synflood.spoofed.pcap",
        "security/ustc-full/Facetime.pcap",
    }
    assert {path.split("/")[0] for path in left - security} == {"ndpi"}
    assert all("/ndpi" in str(each.path) or each.group for each in found)
    assert {each.source.role for each in found} == {"train", "left-out", "reported"}
    assert len({each.group for each in found if each.group.startswith("sentinel-")}) == 31


def test_reflections_by_other_protocols_are_no_floods_that_the_ports_alone_tell_apart():
    reflections = [each for each in read_sources() if each.group.startswith("reflection-")]
    assert len(reflections) == 4
    for each in reflections:
        assert "*,*,*,*,udp,ssdp_flood,unknown" in each.labels
        assert any(row.endswith("udp,udp_reflection,1") for row in each.labels)


def test_every_task_has_attacks_of_the_lab_or_of_others_and_tunnels_are_not_all_of_a_capture():
    sources = read_sources()
    told = {row.split(",")[-2] for each in sources for row in each.labels if row.endswith(",1")}
    assert told | set(PLAYED) == set(KNOWN)
    doh = [each for each in sources if each.group == "doh" and each.labels]
    assert [row.rsplit(",", 1)[1] for each in doh for row in each.labels] == ["1", "unknown"]
    # Only what goes to the resolvers; the same hosts browse too.
    assert all(row.split(",")[2] == "104.16.248.0/23" for each in doh for row in each.labels)
