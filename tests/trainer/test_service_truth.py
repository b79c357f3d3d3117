"""Labels of connections: classes that are known, flows that are whole, and refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flow_rows import rows

from sensor.errors import LabelError
from trainer.datasets.labels import MASKED, Labeller, read_labels
from trainer.lab.attack_kinds import ATTACKS
from trainer.lab.service_shapes import SHAPES
from trainer.lab.service_truth import DECLARATION, TASK, connection_rows
from trainer.lab.truth import CapturedFlow, write_labels

CLIENT, SERVER = "10.0.0.7", "20.0.0.9"
T = 1_700_000_000


def session(service: str, *connections: tuple[int, float, float, str]) -> dict[str, Any]:
    accounts = [
        {"port": port, "made": T + made, "closed": closed and T + closed, "end": end}
        for port, made, closed, end in connections
    ]
    return {"service": service, "client": CLIENT, "server": SERVER, "connections": accounts}


def flow(port: int, first_s: float, server: str = SERVER) -> CapturedFlow:
    first = round((T + first_s) * 1000) * 10**6
    return CapturedFlow(CLIENT, port, server, 443, "udp", first, first + 10**9, 9)


def test_connections_are_labelled_with_their_service(tmp_path: Path) -> None:
    sessions = [
        session("music", (1001, 0, 9, "done"), (1002, 1, 3, "left")),
        session("video", (1003, 2, 9, "over"), (1004, 2, 5, "lost")),
        session("search", (1005, 2, 0, "open"), (1006, 3, 0, "unmade")),
    ]
    # The first packet of 1003 was lost, what is seen is a later one.
    flows = [flow(1000 + n, 2 if n != 3 else 5) for n in (3, 4, 5, 6)]
    flows += [flow(1001, 0.01), flow(1002, 1.01), flow(1001, 0.01, "20.0.0.8")]
    flows[3].first_ns += 10**9
    found = connection_rows(sessions, flows)
    path = tmp_path / "labels.csv"
    write_labels(path, (row.line() for row in found), [DECLARATION])
    labels = read_labels(path, tuple(ATTACKS))
    assert labels.covered == tuple(ATTACKS)
    assert labels.classes == {TASK: tuple(SHAPES)}
    batch = rows(
        *(
            {
                "start": T + 2,
                "source": (CLIENT, 1000 + n),
                "destination": (SERVER, 443),
                "protocol": 17,
            }
            for n in range(2, 8)
        )
    )
    names = [*SHAPES, "none"]
    labeller = Labeller(labels, (TASK,))
    values = [names[value] for value in labeller.label(batch)[:, 0]]
    assert values == ["music", "video", "video", "none", "none", "none"]
    assert names[MASKED] == "none"
    assert np.asarray([row.value == "unknown" for row in found]).sum() == 2


@pytest.mark.parametrize(
    "flows",
    [
        # Seen twice: the tuple was used again, or the capture is torn.
        [flow(1001, 0), flow(1001, 130)],
        [flow(1001, 40)],
    ],
)
def test_a_connection_that_is_not_one_flow_spoils_the_recording(flows: list[CapturedFlow]) -> None:
    with pytest.raises(LabelError, match=f"{CLIENT}:1001 to {SERVER} is not one flow"):
        connection_rows([session("music", (1001, 0, 9, "done"))], flows)


def test_connections_that_are_not_in_the_capture_spoil_the_recording() -> None:
    made = [(1000 + n, 0.0, 9.0, "done") for n in range(10)]
    flows = [flow(1000 + n, 0.1) for n in range(9)]
    assert len(connection_rows([session("drive", *made)], flows)) == 9
    with pytest.raises(LabelError, match="10 connections were made, but the capture holds 8"):
        connection_rows([session("drive", *made)], flows[1:])
