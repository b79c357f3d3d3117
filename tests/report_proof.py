"""Proof of the HTML report in a real browser: what it shows, asks for, and does with hostile words.

``python tests/report_proof.py --out docs/results/report.md`` (as root; `make verify
TARGET=report`). Pictures go to ``out/report/``, to be looked at.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from alert_lines import alert_line, withheld_line
from chromium import Page, opened
from command import ROOT

ABOUT = (
    "Headless Chromium in a network namespace without interfaces, driven through its debugging "
    "pipe. Each page was opened 1,280 pixels wide in light and in dark, 420 wide, and as printed; "
    "the pictures were looked at."
)
DEMO = ROOT / "tests/captures/demo.pcap"
PICTURES = ROOT / "out/report"
INCIDENTS = 10_000
HOSTILE = (
    "</td></title></script></style><script>window.hit=1</script>"
    "<img src=http://192.0.2.1/x onerror=window.hit=2><svg onload=window.hit=3>"
    "\"' onmouseover=window.hit=4 \u202e"
)
LOOKS = {
    "light": {"width": 1280},
    "dark": {"width": 1280, "dark": True},
    "narrow": {"width": 420},
    "print": {"width": 800, "printed": True},
}
TASKS = {
    "scan": 3,
    "syn_dos": 2,
    "ssdp_flood": 2,
    "udp_reflection": 2,
    "slow_http": 1,
    "flow_rate": 2,
}


@dataclass
class Judged:
    """What is claimed of a page, and whether it holds."""

    claims: list[tuple[str, str, bool]]

    def say(self, what: str, measured: object, *, holds: bool) -> None:
        self.claims.append((what, str(measured), holds))


def big_day(path: Path) -> None:
    """A day of many incidents, as a log would tell of them."""
    chance = random.Random(7)
    events = []
    for number in range(INCIDENTS):
        task = chance.choices(list(TASKS), [60, 9, 4, 4, 3, 20])[0]
        began = chance.gauss(40_000, 3_000) if task == "syn_dos" else chance.uniform(0, 80_000)
        lasted = min(3_600, chance.expovariate(1 / 40))
        own = f"192.168.1.{chance.randrange(2, 60)}"
        stranger = ".".join(str(chance.randrange(1, 255)) for _ in range(4))
        common = {
            "task": task,
            "severity": TASKS[task],
            "alert_id": f"{number:016x}",
            "role": "source" if task == "scan" else "victim",
            "address": stranger if task == "scan" else own,
            "source": own if task == "scan" else stranger,
            "began": began,
            "device": {} if task == "scan" else {"name": f"device {own.rpartition('.')[2]}"},
            "model": "counting-rule" if task == "flow_rate" else "iot-gateway",
        }
        flows = int(20 * 10 ** chance.uniform(0, 3))
        score = chance.betavariate(9, 1)
        events.append((began + 1, alert_line(began + 1, lasted=1, **common)))
        end = began + lasted + 60
        events.append(
            (end, alert_line(end, "end", lasted=lasted, flows=flows, score=score, **common))
        )
    events += [(40_000 + 60 * k, withheld_line(40_000 + 60 * k, scan=1_500)) for k in range(12)]
    path.write_bytes(b"".join(line for _, line in sorted(events)))


def hostile_day(log: Path, status: Path) -> None:
    """Alerts and a status whose every word wants to be markup."""
    words = {
        "task": HOSTILE,
        "address": HOSTILE,
        "model": HOSTILE,
        "role": HOSTILE,
        "source": HOSTILE,
        "sample": [HOSTILE],
        "reason": HOSTILE,
        "device": {"name": HOSTILE},
    }
    lines = [alert_line(k, "end", alert_id=f"{HOSTILE}{k}", **words) for k in range(8)]
    log.write_bytes(b"".join([*lines, withheld_line(9, **{HOSTILE: 5})]))
    document = {
        "format": 1,
        "state": HOSTILE,
        "reasons": [HOSTILE],
        "blind": [
            {"interface": HOSTILE, "from": "2026-11-21T12:00:01.000000+0000", "why": HOSTILE}
        ],
        "coverage": {HOSTILE: {HOSTILE: 1}},
        "models": [{"name": HOSTILE, "version": HOSTILE, "sha256": HOSTILE}],
        "measures": {"scores": {HOSTILE: [3, 1]}},
        "allow": [{"comment": HOSTILE, HOSTILE: HOSTILE}],
    }
    status.write_text(json.dumps(document))


def sensor(*arguments: object) -> None:
    """Runs a command of the sensor."""
    subprocess.run([sys.executable, "-m", "sensor.cli", *map(str, arguments)], cwd=ROOT, check=True)


def report(*arguments: object) -> tuple[float, float]:
    """Makes a report; the seconds that it took, and the most MiB that it held."""
    begin = time.monotonic()
    sensor("report", *arguments)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - begin, children.ru_maxrss / 1024


def judge(page: Page, path: Path, judged: Judged, rows: int) -> None:
    """Opens a report in every look, and asks what holds of any."""
    before = len(page.requests)
    page.look(1280)
    begin = time.monotonic()
    page.open(path)
    judged.say("opened in", f"{time.monotonic() - begin:.2f} s", holds=True)
    for name, look in LOOKS.items():
        page.look(**look)
        page.picture(PICTURES / f"{path.stem}-{name}.png", 3_000)
    page.look(1280)
    asked = page.requests[before:]
    judged.say("addresses asked for, beside the file", len(asked) - 1, holds=len(asked) == 1)
    heard = len(page.complaints)
    judged.say("complaints of the console, of the policy", heard, holds=not heard)
    shown = page.evaluate("document.querySelectorAll('table.incidents tbody tr').length")
    judged.say("rows in the table of incidents", f"{shown:,}", holds=shown == rows)
    wide = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    judged.say("no sideways scrolling of the page", wide, holds=wide)


def sorted_by_script(page: Page, judged: Judged) -> None:
    """Clicks on a head of the table, and types into the filter."""
    script = """(() => {
      const table = document.querySelector("table.incidents");
      const head = [...table.tHead.rows[0].cells].findIndex((c) => c.textContent === "flows");
      const button = table.tHead.rows[0].cells[head].querySelector("button");
      const flows = () => [...table.tBodies[0].rows].map((r) => Number(r.cells[head].dataset.k));
      const sorted = (numbers) => numbers.every((n, k) => !k || numbers[k - 1] <= n);
      const begin = performance.now();
      button.click();
      const up = sorted(flows());
      const took = performance.now() - begin;
      button.click();
      const down = sorted(flows().reverse());
      const input = document.querySelector(".filter input");
      input.value = table.tBodies[0].rows[0].cells[0].textContent;
      input.dispatchEvent(new Event("input"));
      const left = [...table.tBodies[0].rows].filter((row) => !row.hidden);
      return [up && down, took, left.length > 0 && left.every((row) =>
        row.textContent.includes(input.value))];
    })()"""
    right, took_ms, filtered = page.evaluate(script)
    judged.say("sorted by a click, both ways", f"{right}, in {took_ms:.0f} ms", holds=right)
    judged.say("rows picked by text", filtered, holds=filtered)


def without_script(page: Page, path: Path, judged: Judged, rows: int) -> None:
    """The same page where no script runs."""
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.open(path)
    count = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node.get("role", {}).get("value") for node in count if not node.get("ignored")]
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    read = roles.count("row")
    judged.say("rows that a screen reader finds without script", read, holds=read >= rows)


def attacked(page: Page, judged: Judged) -> None:
    """What became of the hostile words, and whether the policy holds where an escape would not."""
    hit = page.evaluate("typeof window.hit")
    ran = 0 if hit == "undefined" else hit
    judged.say("hostile words that ran", ran, holds=ran == 0)
    elements = page.evaluate(
        "[document.scripts.length, document.images.length, "
        "document.querySelectorAll('[onerror],[onload],[onmouseover]').length]"
    )
    judged.say("scripts, images, handlers in the page", elements, holds=elements == [1, 0, 0])
    before = len(page.complaints), len(page.requests)
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', "
        '\'<img src="http://192.0.2.1/x" onerror="window.hit=5"><b style="color:red">x</b>\')'
    )
    page.evaluate("fetch('http://192.0.2.1/').catch(() => 0)")
    page.evaluate("new Promise((done) => setTimeout(done, 300))")
    page.look(1280)
    blocked = len(page.complaints) - before[0]
    hit = page.evaluate("typeof window.hit")
    holds = blocked >= 3 and hit == "undefined"
    judged.say("markup put in by force: blocked by the policy", f"{blocked} times", holds=holds)


def control(page: Page, folder: Path, judged: Judged) -> None:
    """A page that does ask for something: is that seen, and does it get nowhere?"""
    path = folder / "control.html"
    path.write_text("<script>console.log('heard')</script><img src='http://192.0.2.1/x.png'>")
    before = len(page.requests), len(page.complaints)
    page.open(path)
    asked, heard = page.requests[before[0] :], page.complaints[before[1] :]
    seen = "http://192.0.2.1/x.png" in asked and any("heard" in each for each in heard)
    failed = any("ERR_" in each for each in heard)
    judged.say("another page's request and message are seen", seen, holds=seen)
    judged.say("its request gets nowhere", failed, holds=failed)


def proofs(folder: Path) -> Iterator[tuple[str, Judged]]:
    """All pages with what was found."""
    demo, big, hostile = (folder / f"{name}.html" for name in ("demo", "big", "hostile"))
    log, stats, evidence = folder / "demo.json", folder / "demo.stats", folder / "evidence"
    sensor("replay", DEMO, "-o", log, "--stats", stats, "--evidence", evidence)
    title = ("--title", "The demo capture")
    report(log, "-o", demo, "--status", stats, "--evidence", evidence, *title)
    hostile_day(folder / "hostile.json", folder / "hostile.status")
    report(
        *(folder / "hostile.json", "-o", hostile, "--status", folder / "hostile.status"),
        *("--title", HOSTILE),
    )
    big_day(folder / "big.json")
    seconds, most_mib = report(folder / "big.json", "-o", big, "--title", "A big day")
    with opened() as page:
        page.call("Accessibility.enable")
        for path, rows in ((demo, 6), (big, 2_000), (hostile, 8)):
            judged = Judged([("size", f"{path.stat().st_size:,} bytes", True)])
            if path == big:
                lines = f"{INCIDENTS:,} incidents in {seconds:.1f} s, {most_mib:.0f} MiB at most"
                judged.say("made from", lines, holds=most_mib < 200)
            judge(page, path, judged, rows)
            sorted_by_script(page, judged)
            if path == hostile:
                attacked(page, judged)
            if path == demo:
                without_script(page, path, judged, rows)
            yield path.stem, judged
        judged = Judged([])
        control(page, folder, judged)
        yield "control", judged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    PICTURES.mkdir(parents=True, exist_ok=True)
    today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    lines = [
        "# The HTML report in a browser",
        "",
        f"{today}; `make verify TARGET=report`. {ABOUT}",
    ]
    failed = 0
    for name, judged in proofs(PICTURES):
        lines += ["", f"## {name}", "", "| | measured | holds |", "|---|---|---|"]
        lines += [
            f"| {what} | {text} | {'yes' if ok else 'NO'} |" for what, text, ok in judged.claims
        ]
        failed += sum(not ok for *_, ok in judged.claims)
    arguments.out.write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join([*lines, ""]))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
