"""The first process of the lab's namespaces, as far as it goes without them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.lab.stage import _merge

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"scenario": "no-such"}, "no-such"),
        ({"duration_s": 1}, "from 3 to 3600 seconds"),
    ],
)
def test_failures_are_told_in_one_message(
    change: dict[str, object], told: str, tmp_path: Path
) -> None:
    request = {"scenario": "demo", "seed": 1, "duration_s": 10, "snaplen": 128}
    request |= {"capture": str(tmp_path / "c.pcap"), "folder": str(tmp_path)} | change
    done = subprocess.run(
        [sys.executable, "-m", "trainer.lab.stage"],
        input=json.dumps(request) + "\n",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(message) for message in messages] == [["error"]]
    assert told in messages[0]["error"]


def test_reports_of_hosts_become_one() -> None:
    merged = _merge(
        [
            {
                "activities": {"dns": {"rounds": 2}},
                "attacks": {1: {"packets": 5}},
                "sessions": [{"name": "a"}, {"name": "b"}],
                "failures": [],
                "recorder": {"captured": 9},
            },
            {
                "activities": {"web": {"rounds": 1}, "dns": {"rounds": 3, "failures": 1}},
                "attacks": {0: {"packets": 7}},
                "sessions": [{"name": "c"}],
                "failures": ["x"],
                "recorder": None,
            },
        ]
    )
    assert merged == {
        "activities": {"dns": {"failures": 1, "rounds": 5}, "web": {"rounds": 1}},
        "attacks": [{"packets": 7}, {"packets": 5}],
        "sessions": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
        "failures": ["x"],
        "recorder": {"captured": 9},
    }
