"""The Python that the documentation shows runs, page by page, in the order in which it stands."""

import re
from pathlib import Path

import frames
import pytest
from command import conversation, flood

ROOT = Path(__file__).parent.parent
SHOWN = r"(?ms)^```python\n(.*?)^```"
PAGES = [
    page
    for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    if re.search(SHOWN, page.read_text())
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_run(page: Path, tmp_path, monkeypatch, capsys):
    """In a folder with what the examples name: captures, and the bundles."""
    examples = re.findall(SHOWN, page.read_text())
    if "pyarrow" in "".join(examples):
        pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    frames.write_pcap(tmp_path / "capture.pcap", *conversation())
    frames.write_pcap(tmp_path / "monday.pcap", *conversation(packets=48))
    frames.write_pcap(tmp_path / "tuesday.pcap", *flood(50))
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    for example in examples:
        # what a page shows is what runs, line numbers included
        exec(compile(example, str(page), "exec"), names)  # noqa: S102 -- our own pages
    assert capsys.readouterr().out.strip()


def test_pages_with_examples_are_found():
    assert {page.name for page in PAGES} >= {"python-api.md", "bundle.md"}


def test_examples_import_only_what_is_documented_as_public():
    """A page sends nobody into the sensor's own service or command line."""
    for page in PAGES:
        for example in re.findall(SHOWN, page.read_text()):
            assert not re.search(r"sensor\.(service|cli)", example), page
